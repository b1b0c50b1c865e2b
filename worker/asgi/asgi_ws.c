/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ws.c: the life of a WebSocket and what the application receives; what it sends is asgi_ws_send.c, what waits to
 * be received asgi_ws_queue.c. Frames, pings and the closing handshake are the session's (ws.h). */
#include "worker/asgi/asgi_ws.h"

#include <stddef.h>

#include "worker/asgi/asgi_report.h"
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
#include "worker/asgi/asgi_ws_priv.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/net/conn.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/task.h"

/* --- receive --- */

/* {"type": type, key: value}; key may be NULL, value is stolen and may be NULL (exception set). */
static enum channel_result message_with(struct websocket *w, PyObject *type, PyObject *key, PyObject *value,
                                        PyObject **ret)
{
    PyObject *m = key && !value ? NULL : PyDict_New();
    if (m && (PyDict_SetItem(m, w->channel.asgi->names.type, type) < 0 || (key && PyDict_SetItem(m, key, value) < 0)))
        Py_CLEAR(m);
    Py_XDECREF(value);
    *ret = m;
    return m ? CHANNEL_DONE : CHANNEL_ERROR;
}

static enum channel_result receive_message(struct websocket *w, PyObject **ret)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    struct entry e = websocket_take_entry(w);
    if (w->ws)
        ws_taken(w->ws, e.n);
    return message_with(w, n->websocket_receive, PyUnicode_Check(e.payload) ? n->text : n->bytes, e.payload, ret);
}

static enum channel_result receive_disconnect_message(struct websocket *w, PyObject **ret)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    PyObject *reason = w->reason ? Py_NewRef(w->reason) : PyUnicode_New(0, 0);
    PyObject *code = PyLong_FromUnsignedLong(w->code);
    enum channel_result r = CHANNEL_ERROR;
    if (reason && code)
        r = message_with(w, n->websocket_disconnect, n->code, Py_NewRef(code), ret);
    if (r == CHANNEL_DONE && PyDict_SetItem(*ret, n->reason, reason) < 0) {
        Py_CLEAR(*ret);
        r = CHANNEL_ERROR;
    }
    Py_XDECREF(code);
    Py_XDECREF(reason);
    return r;
}

static enum channel_result websocket_receive(struct channel *c, PyObject **ret)
{
    struct websocket *w = (struct websocket *)c;
    if (!w->connect_received) {
        w->connect_received = true;
        return message_with(w, c->asgi->names.websocket_connect, NULL, NULL, ret);
    }
    if (w->n)
        return receive_message(w, ret);
    return w->gone ? receive_disconnect_message(w, ret) : CHANNEL_WAIT;
}

static enum channel_result websocket_sent(struct channel *c)
{
    struct websocket *w = (struct websocket *)c;
    if (w->late)
        return CHANNEL_DONE;
    return w->gone ? websocket_say_gone(w) : CHANNEL_WAIT;
}

const struct channel_ops websocket_channel_ops = {
    .name = "websocket",
    .receive = websocket_receive,
    .send = websocket_send,
    .sent = websocket_sent,
};

/* --- life --- */

static void websocket_dealloc(PyObject *o)
{
    struct websocket *w = (struct websocket *)o;
    PyTypeObject *type = Py_TYPE(o);
    websocket_drop_queue(w);
    Py_CLEAR(w->scope);
    Py_CLEAR(w->reason);
    if (w->names)
        conn_names_unref(w->names);
    channel_clear(&w->channel);
    PyObject_Free(o);
    Py_DECREF(type);
}

static PyType_Slot websocket_slots[] = { { Py_tp_dealloc, websocket_dealloc }, { 0 } };

static PyType_Spec websocket_spec = {
    .name = "tine.WebSocket",
    .basicsize = sizeof(struct websocket),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = websocket_slots,
};

static struct websocket *websocket_new(struct asgi *asgi, struct req *r)
{
    struct websocket *w = PyObject_New(struct websocket, asgi->websocket_type);
    if (!w)
        return NULL;
    channel_init(&w->channel, asgi, &websocket_channel_ops);
    memset((char *)w + offsetof(struct websocket, req), 0, sizeof *w - offsetof(struct websocket, req));
    w->req = r;
    w->memory = &r->conn->net->memory;
    memory_keep(w->memory, NULL, &w->scope_kept, req_head_size(r));
    return w;
}

static const char *left_undone(const struct websocket *w)
{
    if (w->gone)
        return NULL;
    if (w->stage == WEBSOCKET_CONNECTING)
        return "without accepting or refusing the WebSocket";
    return w->stage == WEBSOCKET_DENYING ? "without completing its response" : NULL;
}

/* The application's coroutine has ended: ends what it left open. */
static void on_websocket_done(PyObject *arg, PyObject *result, PyObject *exception)
{
    struct websocket *w = (struct websocket *)arg;
    struct asgi *asgi = w->channel.asgi;
    if (exception && w->stage == WEBSOCKET_CONNECTING)
        asgi_report_mismatch(asgi, exception);
    if (exception)
        asgi_report_exception(asgi, w->scope, exception);
    else
        asgi_report_websocket(asgi, w->scope, result, left_undone(w));
    Py_CLEAR(w->scope);
    memory_keep(w->memory, NULL, &w->scope_kept, 0);
    if (w->left)
        conn_names_left(w->names, -1);
    websocket_drop_queue(w);
    enum websocket_stage stage = w->stage;
    w->stage = WEBSOCKET_CLOSED;
    if (w->ws)
        ws_close(w->ws, 1011, SPAN(""));
    else if (w->req && stage == WEBSOCKET_CONNECTING)
        resp_error(w->req, 500);
    else if (w->req && stage == WEBSOCKET_DENYING)
        resp_abort(w->req);
}

static int call_websocket_app(struct asgi *asgi, struct websocket *w)
{
    PyObject *receive = channel_receive_new(&w->channel), *send = channel_send_new(&w->channel);
    w->scope = asgi_scope_websocket(asgi, w->req);
    int r = -1;
    if (receive && send && w->scope && !w->req) { /* a finalizer has cut the connection meanwhile */
        websocket_say_gone(w);
    } else if (receive && send && w->scope) {
        PyObject *args[] = { w->scope, receive, send };
        w->names = w->req->conn->user ? conn_names_ref(w->req->conn->user) : NULL;
        r = pytask_call(asgi->env.tasks, asgi->app, args, 3, on_websocket_done, (PyObject *)w);
    }
    Py_XDECREF(receive);
    Py_XDECREF(send);
    return r;
}

static void start_websocket(struct asgi *asgi, struct req *r)
{
    pyloop_enter(asgi->env.loop);
    struct websocket *w = websocket_new(asgi, r);
    if (!w) {
        pyerr_log(LOG_LEVEL_ERROR, "Cannot start a WebSocket");
        resp_error(r, 503);
        return;
    }
    r->user = Py_NewRef((PyObject *)w);
    if (call_websocket_app(asgi, w) < 0) {
        PyObject *exception = pyerr_take();
        on_websocket_done((PyObject *)w, NULL, exception);
        Py_XDECREF(exception);
    }
    Py_DECREF((PyObject *)w);
}

bool asgi_ws_takes(struct asgi *asgi, struct req *r)
{
    struct ws_verdict verdict = ws_judge(r);
    switch (verdict.ask) {
    case WS_NOT_ASKED:
        return false;
    case WS_REFUSE:
        ws_refuse(r, &verdict);
        return true;
    case WS_ASKED:
        break;
    }
    start_websocket(asgi, r);
    return true;
}

/* --- the held request's calls --- */

static void on_handshake_drained(struct req *r)
{
    struct websocket *w = r->user;
    websocket_enter(w);
    w->late = true;
    channel_wake(&w->channel);
}

/* A client does not wait for the answer to a handshake with one half of a connection. */
static void on_handshake_peer_eof(struct req *r)
{
    req_abandon(r);
}

static void on_handshake_end(struct req *r, enum req_end why)
{
    struct websocket *w = r->user;
    websocket_enter(w);
    r->user = NULL;
    w->req = NULL;
    if (why != REQ_END_COMPLETE || w->stage == WEBSOCKET_CLOSED) {
        w->late |= why == REQ_END_COMPLETE;
        websocket_disconnect(w, 1006);
    }
    Py_DECREF((PyObject *)w);
}

const struct handler_ops websocket_handler_ops = {
    .name = "asgi websocket",
    .on_drained = on_handshake_drained,
    .on_peer_eof = on_handshake_peer_eof,
    .on_end = on_handshake_end,
};

int asgi_ws_init(struct asgi *asgi)
{
    asgi->websocket_type = (PyTypeObject *)PyType_FromSpec(&websocket_spec);
    return asgi->websocket_type ? 0 : -1;
}
