/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_scope.h: the connection scope of a request: http or websocket (ASGI HTTP & WebSocket 2.5). */
#ifndef TINE_ASGI_ASGI_SCOPE_H
#define TINE_ASGI_ASGI_SCOPE_H

#include <Python.h>

struct asgi;
struct req;

struct conn;

/* The addresses of a connection as ASGI shows them; held by conn->user and by the exchanges on it. */
struct conn_names {
    unsigned refs;
    struct conn *conn;         /* NULL when it is gone */
    PyObject *client, *server; /* tuples or None; NULL: not made yet */
    PyObject *tls;             /* the extension's dictionary; NULL: not made yet, or no TLS */
};

/* Makes what all scopes share. 0 or -1 with an exception set. */
int asgi_scope_init(struct asgi *asgi);
void asgi_scope_done(struct asgi *asgi);

/* New reference; NULL: exception set. */
PyObject *asgi_scope_http(struct asgi *asgi, struct req *r);
/* Of a request that ws_judge() found to ask for a WebSocket. */
PyObject *asgi_scope_websocket(struct asgi *asgi, struct req *r);

struct conn_names *conn_names_ref(struct conn_names *names);
void conn_names_unref(struct conn_names *names);
/* Counts the applications that still run though their request has ended: +1 or -1 for conn_count_left(). `names` may be
 * NULL. */
void conn_names_left(struct conn_names *names, int change);

#endif
