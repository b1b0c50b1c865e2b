/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_body.c: see wsgi_body.h. How bytes get to the client is wsgi_out.c's on the loop's thread and wsgi_send.c's on
 * another. */
#include "worker/wsgi/wsgi_body.h"

#include "worker/wsgi/wsgi_greenlet.h"
#include "worker/wsgi/wsgi_out.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_state.h"

static bool must_wait(struct wsgi_call *c)
{
    return wsgi_out_must_wait(c);
}

/* A greenlet waits for its client where there is no room for more. 0, or -1 with an exception set. */
static int wait_for_room(struct wsgi_call *c)
{
    while (must_wait(c) && wsgi_greenlet_may_wait(c->wsgi))
        if (wsgi_greenlet_wait(c, must_wait) < 0)
            return -1;
    return 0;
}

enum wsgi_sent wsgi_body_give(struct wsgi_call *c, struct wsgi_piece *piece)
{
    if (!c->answered) {
        PyErr_SetString(PyExc_RuntimeError, "start_response() was not called before the body");
        return WSGI_ERROR;
    }
    if (c->greenlet && c->head_sent && wait_for_room(c) < 0)
        return WSGI_ERROR;
    piece->answer = c->answer;
    c->answer = NULL;
    c->head_sent = true;
    atomic_store(&c->head_place, HEAD_GONE);
    c->complete = piece->last;
    return c->is_inline ? wsgi_out_now(c, piece) : wsgi_pool_send(c, piece);
}

enum wsgi_sent wsgi_body_send(struct wsgi_call *c, struct span bytes, bool last)
{
    return wsgi_body_give(c, &(struct wsgi_piece){ .bytes = bytes, .fd = -1, .last = last });
}

static bool is_bytes(PyObject *item)
{
    if (PyBytes_Check(item))
        return true;
    PyErr_Format(PyExc_TypeError, "the body must be bytes, not %s", Py_TYPE(item)->tp_name);
    return false;
}

enum wsgi_sent wsgi_body_send_item(struct wsgi_call *c, PyObject *item)
{
    if (!is_bytes(item))
        return WSGI_ERROR;
    if (!PyBytes_GET_SIZE(item)) /* nothing to send, and no reason yet for the head */
        return WSGI_SENT;
    return wsgi_body_send(c, wsgi_bytes_span(item), false);
}

int wsgi_body_write(struct wsgi_call *c, PyObject *data)
{
    if (!is_bytes(data))
        return -1;
    if (c->complete) { /* close() of the iterable, or another thread */
        PyErr_SetString(PyExc_RuntimeError, "write() was called after the end of the response");
        return -1;
    }
    if (!PyBytes_GET_SIZE(data))
        return 0;
    if (c->is_inline && !wsgi_pool_is_loop(c->wsgi->pool)) {
        PyErr_SetString(PyExc_RuntimeError, "write() was called in another thread than the application");
        return -1;
    }
    enum wsgi_sent sent = wsgi_body_send(c, wsgi_bytes_span(data), false);
    if (c->is_inline && !c->greenlet && c->spool.n)
        c->wsgi->hands_over = true;
    if (sent == WSGI_GONE)
        PyErr_SetString(c->wsgi->gone_error, "the client has disconnected");
    return sent == WSGI_SENT ? 0 : -1;
}
