/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ws_priv.h: what the files of the application's WebSocket share. */
#ifndef TINE_ASGI_ASGI_WS_PRIV_H
#define TINE_ASGI_ASGI_WS_PRIV_H

#include <Python.h>
#include <stdbool.h>

#include "worker/asgi/asgi_channel.h"
#include "worker/ws/ws.h"

struct asgi;
struct conn_names;
struct memory;
struct memory_share;
struct req;

/* What the application has said; only forward. */
enum websocket_stage {
    WEBSOCKET_CONNECTING, /* nothing yet */
    WEBSOCKET_ACCEPTED,
    WEBSOCKET_DENYING, /* websocket.http.response.start; its body is to follow */
    WEBSOCKET_CLOSED,  /* websocket.close, or the denial is complete */
};

/* A message that the application has not taken yet: str or bytes. */
struct entry {
    PyObject *payload;
    size_t n; /* bytes, as the session counts them */
    size_t memory; /* bytes that the object takes: of text up to four times as many */
};

struct websocket {
    struct channel channel; /* first */
    struct req *req;        /* NULL after on_end */
    struct ws *ws;          /* NULL before 101 and after on_close */
    struct conn_names *names; /* of the connection that the request came by */
    PyObject *scope;        /* for the log; dropped when the application has ended */
    enum websocket_stage stage;
    bool connect_received;
    bool gone;              /* nothing can be sent any more: send() raises */
    bool left;              /* the application still runs though the WebSocket is gone */
    bool late;              /* the send() that waits may return */
    unsigned code;          /* for websocket.disconnect, once gone */
    PyObject *reason;       /* NULL: "" */
    struct entry *queue;    /* a ring; NULL while it was never needed */
    size_t room, head, n;
    struct memory *memory;      /* of the worker: the queue counts there, also when the WebSocket is gone */
    struct memory_share *share; /* of the connection; NULL before and after its time */
    size_t kept;                /* bytes in the queue */
    size_t scope_kept; /* bytes of the head that the scope has; not the connection's: the scope may outlive it */
};

/* --- asgi_ws_queue.c --- */

/* The session's calls, of which the user is a struct websocket. */
extern const struct ws_user_ops websocket_user_ops;
/* Before what may wake the application. */
void websocket_enter(struct websocket *w);
/* The first of the messages that wait, w->n > 0; its payload is the caller's. */
struct entry websocket_take_entry(struct websocket *w);
/* Forgets messages that were not taken. */
void websocket_drop_queue(struct websocket *w);
/* From here on nothing can be sent; the application receives websocket.disconnect with `code`. */
void websocket_disconnect(struct websocket *w, unsigned code);

/* --- asgi_ws_send.c --- */

/* channel_ops.send */
enum channel_result websocket_send(struct channel *c, PyObject *type, PyObject *message);
/* CHANNEL_ERROR with the exception of a send() after a disconnect. */
enum channel_result websocket_say_gone(struct websocket *w);

#endif
