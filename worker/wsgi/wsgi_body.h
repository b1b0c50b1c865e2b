/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_body.h: the body of a response from the application to the client, in whichever thread it runs: the first piece takes
 * the head along. GIL held. */
#ifndef TINE_WSGI_WSGI_BODY_H
#define TINE_WSGI_WSGI_BODY_H

#include <Python.h>
#include <stdbool.h>

#include "worker/wsgi/wsgi_call.h"

/* Takes piece->fd. */
enum wsgi_sent wsgi_body_give(struct wsgi_call *c, struct wsgi_piece *piece);
enum wsgi_sent wsgi_body_send(struct wsgi_call *c, struct span bytes, bool last);
/* An item of what the application returned; must be bytes. Nothing is sent for an empty one. */
enum wsgi_sent wsgi_body_send_item(struct wsgi_call *c, PyObject *item);
/* write(data): 0, or -1 with an exception set. */
int wsgi_body_write(struct wsgi_call *c, PyObject *data);

static inline struct span wsgi_bytes_span(PyObject *bytes)
{
    return (struct span){ PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes) };
}

#endif
