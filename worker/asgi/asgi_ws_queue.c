/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ws_queue.c: what the session brings (ws.h): messages, which wait here until the application receives them, and the
 * end. Payloads are counted while they wait. */
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
#include "worker/asgi/asgi_ws_priv.h"
#include "worker/net/conn.h"
#include "worker/python/loop.h"

static int queue_put(struct websocket *w, PyObject *payload, size_t n, size_t memory)
{
    if (w->n == w->room) {
        size_t room = w->room ? 2 * w->room : 4;
        struct entry *larger = PyMem_New(struct entry, room);
        if (!larger)
            return -1;
        for (size_t i = 0; i < w->n; i++)
            larger[i] = w->queue[(w->head + i) % w->room];
        PyMem_Free(w->queue);
        w->queue = larger;
        w->room = room;
        w->head = 0;
    }
    w->queue[(w->head + w->n++) % w->room] = (struct entry){ payload, n, memory };
    return 0;
}

struct entry websocket_take_entry(struct websocket *w)
{
    struct entry e = w->queue[w->head];
    w->head = (w->head + 1) % w->room;
    w->n--;
    memory_keep(w->memory, w->share, &w->kept, w->kept - e.memory);
    return e;
}

void websocket_drop_queue(struct websocket *w)
{
    while (w->n)
        Py_DECREF(websocket_take_entry(w).payload);
    PyMem_Free(w->queue);
    w->queue = NULL;
    w->room = w->head = 0;
}

/* --- the session's calls --- */

void websocket_enter(struct websocket *w)
{
    pyloop_enter(w->channel.asgi->env.loop);
}

static size_t memory_of(PyObject *payload)
{
    if (PyBytes_Check(payload))
        return (size_t)PyBytes_GET_SIZE(payload);
    return (size_t)PyUnicode_GET_LENGTH(payload) * (size_t)PyUnicode_KIND(payload);
}

static bool may_keep(struct websocket *w, struct ws *ws, size_t n)
{
    struct conn *c = ws_conn(ws);
    w->share = &c->share;
    return memory_hold(w->memory, w->share, &w->kept, w->kept + n);
}

static void refuse_message(struct ws *ws, PyObject *payload, size_t n, unsigned code, struct span why)
{
    PyErr_Clear();
    Py_XDECREF(payload);
    ws_taken(ws, n);
    ws_close(ws, code, why);
}

static void on_message(struct ws *ws, enum ws_kind kind, struct span bytes)
{
    struct websocket *w = ws_user(ws);
    websocket_enter(w);
    PyObject *payload = kind == WS_TEXT ? PyUnicode_DecodeUTF8(bytes.p, (Py_ssize_t)bytes.n, NULL)
                                        : PyBytes_FromStringAndSize(bytes.p, (Py_ssize_t)bytes.n);
    size_t memory = payload ? memory_of(payload) : 0;
    if (payload && !may_keep(w, ws, memory)) {
        refuse_message(ws, payload, bytes.n, 1009, SPAN("too much is kept"));
    } else if (!payload || queue_put(w, payload, bytes.n, memory) < 0) {
        memory_keep(w->memory, w->share, &w->kept, w->kept - memory);
        refuse_message(ws, payload, bytes.n, 1011, SPAN("out of memory"));
    } else {
        channel_wake(&w->channel);
    }
}

static void on_ws_drained(struct ws *ws)
{
    struct websocket *w = ws_user(ws);
    websocket_enter(w);
    w->late = true;
    channel_wake(&w->channel);
}

void websocket_disconnect(struct websocket *w, unsigned code)
{
    if (!w->gone && w->scope) {
        w->left = true;
        conn_names_left(w->names, 1);
    }
    w->gone = true;
    w->code = code;
    channel_wake(&w->channel);
}

static void on_ws_close(struct ws *ws, unsigned code, struct span reason)
{
    struct websocket *w = ws_user(ws);
    websocket_enter(w);
    w->ws = NULL;
    if (w->share)
        memory_leave(w->share, w->kept);
    w->share = NULL;
    if (reason.n && !(w->reason = PyUnicode_DecodeUTF8(reason.p, (Py_ssize_t)reason.n, NULL)))
        PyErr_Clear();
    websocket_disconnect(w, code);
    Py_DECREF((PyObject *)w);
}

const struct ws_user_ops websocket_user_ops = {
    .on_message = on_message,
    .on_drained = on_ws_drained,
    .on_close = on_ws_close,
};
