/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_http.c: from request to application and from its messages to an answer. HTTP's own rules are
 * resp.c's. */
#include "worker/asgi/asgi_http.h"

#include <stddef.h>

#include "common/fdutil.h"
#include "common/likely.h"
#include "worker/asgi/asgi_drain.h"
#include "worker/asgi/asgi_exchange.h"
#include "worker/asgi/asgi_ext.h"
#include "worker/asgi/asgi_fields.h"
#include "worker/asgi/asgi_report.h"
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
#include "worker/asgi/asgi_ws.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/net/conn.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/task.h"

/* --- receive --- */

static PyObject *message_disconnect(const struct asgi *asgi)
{
    PyObject *m = PyDict_New();
    if (m && PyDict_SetItem(m, asgi->names.type, asgi->names.http_disconnect) < 0)
        Py_CLEAR(m);
    return m;
}

/* `body` is stolen. */
static PyObject *message_request(const struct asgi *asgi, PyObject *body, bool more)
{
    const struct asgi_names *n = &asgi->names;
    PyObject *m = PyDict_New();
    if (m && (PyDict_SetItem(m, n->type, n->http_request) < 0 || PyDict_SetItem(m, n->body, body) < 0 ||
              PyDict_SetItem(m, n->more_body, more ? Py_True : Py_False) < 0))
        Py_CLEAR(m);
    Py_DECREF(body);
    return m;
}

static enum channel_result receive_disconnect(struct exchange *x, PyObject **ret)
{
    *ret = message_disconnect(x->channel.asgi);
    return *ret ? CHANNEL_DONE : CHANNEL_ERROR;
}

static enum channel_result receive_body(struct exchange *x, PyObject **ret)
{
    struct req *r = x->req;
    struct span body = req_body(r);
    bool last = req_body_ended(r);
    if (!body.n && !last) {
        req_body_want(r);
        if (!x->req)
            return receive_disconnect(x, ret);
        body = req_body(r); /* on_body may have come already */
        last = req_body_ended(r);
        if (!body.n && !last)
            return CHANNEL_WAIT;
    }
    /* The bytes are taken before the dictionary is made, which may collect garbage: finalizers are the application's. */
    struct asgi *asgi = x->channel.asgi;
    PyObject *bytes = body.n ? PyBytes_FromStringAndSize(body.p, (Py_ssize_t)body.n) : Py_NewRef(asgi->empty_bytes);
    if (!bytes)
        return CHANNEL_ERROR;
    x->request_received = last;
    if (body.n)
        req_body_take(r, body.n);
    *ret = message_request(asgi, bytes, !last);
    return *ret ? CHANNEL_DONE : CHANNEL_ERROR;
}

static enum channel_result exchange_receive(struct channel *c, PyObject **ret)
{
    struct exchange *x = (struct exchange *)c;
    if (!x->req)
        return receive_disconnect(x, ret);
    if (!x->request_received)
        return receive_body(x, ret);
    if (asgi_drain_disconnects(x))
        return receive_disconnect(x, ret);
    if (!x->peer_eof)
        return CHANNEL_WAIT;
    req_abandon(x->req); /* the application has received the disconnect: send() raises from here on */
    return receive_disconnect(x, ret);
}

/* --- send --- */

static enum channel_result start_answer(struct exchange *x, const struct resp_head *head)
{
    enum channel_result refused;
    if (exchange_refuses(x, &refused))
        return refused;
    if (x->stage != EXCHANGE_HEAD) {
        PyErr_SetString(PyExc_RuntimeError, "http.response.start was sent twice");
        return CHANNEL_ERROR;
    }
    enum resp_result result = resp_start(x->req, head);
    if (result == RESP_SENT || result == RESP_LATER) {
        exchange_set_stage(x, EXCHANGE_BODY);
        x->trailers = head->trailers;
        asgi_drain_started(x, head);
    }
    return exchange_result(x, result);
}

/* The fields come last: what is looked up after them could change them. */
static enum channel_result send_start(struct exchange *x, PyObject *message)
{
    const struct asgi_names *n = &x->channel.asgi->names;
    int status = asgi_status(message, n->status, "http.response.start");
    int trailers = status < 0 ? -1 : asgi_flag(message, n->trailers);
    PyObject *keep, *headers = trailers < 0 ? NULL : PyDict_GetItemWithError(message, n->headers);
    if (trailers < 0 || (!headers && PyErr_Occurred()))
        return CHANNEL_ERROR;
    struct resp_field small[32], *fields;
    struct resp_head head = { .status = (unsigned)status, .trailers = trailers, .dynamic = true };
    if (asgi_fields(headers, small, 32, &fields, &head.n_fields, &keep) < 0)
        return CHANNEL_ERROR;
    head.fields = fields;
    enum channel_result result = start_answer(x, &head);
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
    return result;
}

static enum channel_result send_bytes(struct exchange *x, struct span bytes, bool more)
{
    enum channel_result refused;
    if (exchange_refuses(x, &refused))
        return refused;
    if (x->stage != EXCHANGE_BODY) {
        PyErr_SetString(PyExc_RuntimeError, x->stage == EXCHANGE_HEAD
                                                ? "http.response.body was sent before http.response.start"
                                                : "http.response.body was sent after the end of the body");
        return CHANNEL_ERROR;
    }
    if (!more)
        exchange_set_stage(x, x->trailers ? EXCHANGE_TRAILERS : EXCHANGE_COMPLETE);
    return exchange_result(x, resp_body(x->req, bytes, more));
}

/* What cannot change is lent to the connection while the client is slow, not copied. */
static enum channel_result send_immutable(struct exchange *x, PyObject *body, bool more)
{
    struct span bytes = { PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body) };
    if (bytes.n < RESP_LEND_MIN || !x->req)
        return send_bytes(x, bytes, more);
    x->req->lends = true;
    enum channel_result result = send_bytes(x, bytes, more);
    if (!x->req)
        return result;
    x->req->lends = false;
    if (result == CHANNEL_WAIT)
        Py_XSETREF(x->lent, Py_NewRef(body));
    return result;
}

static enum channel_result send_buffer(struct exchange *x, PyObject *body, bool more)
{
    Py_buffer view;
    if (PyObject_GetBuffer(body, &view, PyBUF_SIMPLE) < 0)
        return CHANNEL_ERROR;
    enum channel_result result = send_bytes(x, (struct span){ view.buf, (size_t)view.len }, more);
    PyBuffer_Release(&view);
    return result;
}

static enum channel_result send_body(struct exchange *x, PyObject *message)
{
    const struct asgi_names *n = &x->channel.asgi->names;
    int more = asgi_flag(message, n->more_body);
    PyObject *body = more < 0 ? NULL : PyDict_GetItemWithError(message, n->body);
    if (!body)
        return PyErr_Occurred() ? CHANNEL_ERROR : send_bytes(x, (struct span){ "", 0 }, more);
    Py_INCREF(body);
    enum channel_result result = PyBytes_Check(body) ? send_immutable(x, body, more) : send_buffer(x, body, more);
    Py_DECREF(body);
    return result;
}

static enum channel_result send_other(struct exchange *x, PyObject *type, PyObject *message)
{
    const struct asgi_names *n = &x->channel.asgi->names;
    if (channel_is(type, n->response_pathsend))
        return asgi_ext_pathsend(x, message);
    if (channel_is(type, n->response_zerocopysend))
        return asgi_ext_zerocopysend(x, message);
    if (channel_is(type, n->response_trailers))
        return asgi_ext_trailers(x, message);
    if (channel_is(type, n->response_early_hint))
        return asgi_ext_early_hint(x, message);
    PyErr_Format(PyExc_ValueError, "unexpected message type \"%U\" for an http scope", type);
    return CHANNEL_ERROR;
}

enum message_kind { MESSAGE_START, MESSAGE_BODY, MESSAGE_OTHER };

/* A literal with dots is not interned: every place in the code of an application has its own str, the same at
 * every call. The latest of each of the two usual types is known by its address. */
static enum message_kind kind_of(struct asgi *asgi, PyObject *type)
{
    if (type == asgi->seen_body)
        return MESSAGE_BODY;
    if (type == asgi->seen_start)
        return MESSAGE_START;
    bool body = channel_is(type, asgi->names.response_body);
    if (!body && !channel_is(type, asgi->names.response_start))
        return MESSAGE_OTHER;
    if (PyUnicode_CheckExact(type))
        Py_XSETREF(*(body ? &asgi->seen_body : &asgi->seen_start), Py_NewRef(type));
    return body ? MESSAGE_BODY : MESSAGE_START;
}

static enum channel_result exchange_send(struct channel *c, PyObject *type, PyObject *message)
{
    struct exchange *x = (struct exchange *)c;
    enum channel_result refused;
    if (exchange_refuses(x, &refused))
        return refused;
    enum message_kind kind = kind_of(c->asgi, type);
    if (kind == MESSAGE_BODY && x->stage <= EXCHANGE_BODY)
        return send_body(x, message);
    if (kind == MESSAGE_START)
        return send_start(x, message);
    return send_other(x, type, message);
}

static enum channel_result exchange_sent(struct channel *c)
{
    struct exchange *x = (struct exchange *)c;
    if (x->gone)
        return exchange_result(x, RESP_GONE);
    return x->late || !x->req ? CHANNEL_DONE : CHANNEL_WAIT;
}

static const struct channel_ops exchange_ops = {
    .name = "http",
    .receive = exchange_receive,
    .send = exchange_send,
    .sent = exchange_sent,
};

/* --- life --- */

static struct exchange *exchange_new(struct asgi *asgi, struct req *r)
{
    struct exchange *x = (struct exchange *)free_list_new(&asgi->exchanges, asgi->exchange_type);
    if (!x)
        return NULL;
    channel_init(&x->channel, asgi, &exchange_ops);
    memset((char *)x + offsetof(struct exchange, req), 0, sizeof *x - offsetof(struct exchange, req));
    x->req = r;
    x->file_fd = -1;
    return x;
}

static void exchange_dealloc(PyObject *o)
{
    struct exchange *x = (struct exchange *)o;
    struct asgi *asgi = x->channel.asgi;
    asgi_ext_file_done(x);
    Py_CLEAR(x->lent);
    Py_CLEAR(x->scope);
    if (x->names)
        conn_names_unref(x->names);
    channel_clear(&x->channel);
    free_list_put(&asgi->exchanges, o);
}

static PyType_Slot exchange_slots[] = { { Py_tp_dealloc, exchange_dealloc }, { 0 } };

static PyType_Spec exchange_spec = {
    .name = "tine.HTTPExchange",
    .basicsize = sizeof(struct exchange),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = exchange_slots,
};

int asgi_http_init(struct asgi *asgi)
{
    asgi->exchange_type = (PyTypeObject *)PyType_FromSpec(&exchange_spec);
    return asgi->exchange_type ? 0 : -1;
}

/* Cancelled because its client is gone (exchange_gone(), end_of_scope()): not worth a line. */
static bool was_left_behind(const struct exchange *x, PyObject *exception)
{
    return (x->ignored || x->left_behind) && PyErr_GivenExceptionMatches(exception, x->channel.asgi->cancelled_error);
}

/* It has ended as it was told to. What the result says is of no use to anyone. */
static void complete_stream(struct exchange *x)
{
    if (send_bytes(x, (struct span){ "", 0 }, false) == CHANNEL_ERROR)
        PyErr_Clear();
}

/* The application's coroutine has ended: makes an answer of what it left open. */
static void on_exchange_done(PyObject *arg, PyObject *result, PyObject *exception)
{
    struct exchange *x = (struct exchange *)arg;
    struct asgi *asgi = x->channel.asgi;
    if (exception && x->stage == EXCHANGE_HEAD)
        asgi_report_mismatch(asgi, exception);
    bool reports = !exception || !was_left_behind(x, exception);
    if (exception && reports)
        asgi_report_exception(asgi, x->scope, exception);
    else if (result && result != Py_None)
        asgi_report_value(x, result);
    else if (x->req && x->stage == EXCHANGE_BODY && asgi_drain_disconnects(x))
        complete_stream(x);
    else if (reports && x->req && x->stage != EXCHANGE_COMPLETE)
        asgi_report_incomplete(x);
    Py_CLEAR(x->scope);
    if (unlikely(x->left)) {
        conn_names_left(x->names, -1);
        memory_keep(x->memory, NULL, &x->kept, 0);
    }
    if (!x->req || x->stage == EXCHANGE_COMPLETE)
        return;
    bool started = x->stage != EXCHANGE_HEAD;
    exchange_set_stage(x, EXCHANGE_COMPLETE);
    if (started)
        resp_abort(x->req);
    else
        resp_error(x->req, 500);
}

static int call_http_app(struct asgi *asgi, struct exchange *x)
{
    PyObject *receive = channel_receive_new(&x->channel), *send = channel_send_new(&x->channel);
    x->scope = asgi_scope_http(asgi, x->req);
    int r = -1;
    if (receive && send && x->scope && !x->req) { /* a finalizer has cut the connection meanwhile */
        x->gone = true;
        PyErr_SetString(asgi->gone_error, "the client has disconnected");
    } else if (receive && send && x->scope) {
        PyObject *args[] = { x->scope, receive, send };
        x->names = conn_names_ref(x->req->conn->user);
        r = (x->req->alone ? pytask_call_together : pytask_call)(asgi->env.tasks, asgi->app, args, 3, on_exchange_done,
                                                                 (PyObject *)x);
    }
    Py_XDECREF(receive);
    Py_XDECREF(send);
    return r;
}

static void on_request(struct handler *h, struct req *r)
{
    struct asgi *asgi = (struct asgi *)h;
    if (unlikely(r->known[FIELD_UPGRADE] | r->protocol.n) && asgi_ws_takes(asgi, r))
        return;
    pyloop_enter(asgi->env.loop);
    struct exchange *x = exchange_new(asgi, r);
    if (!x) {
        pyerr_log(LOG_LEVEL_ERROR, "Cannot start a request");
        resp_error(r, 503);
        return;
    }
    r->user = Py_NewRef((PyObject *)x);
    if (call_http_app(asgi, x) < 0) {
        PyObject *exception = pyerr_take();
        on_exchange_done((PyObject *)x, NULL, exception);
        Py_DECREF(exception);
    }
    Py_DECREF((PyObject *)x);
}

static void on_body(struct req *r)
{
    struct exchange *x = r->user;
    pyloop_enter(x->channel.asgi->env.loop);
    channel_wake(&x->channel);
}

static void on_drained(struct req *r)
{
    if (unlikely(asgi_ws_owns(r))) {
        websocket_handler_ops.on_drained(r);
        return;
    }
    struct exchange *x = r->user;
    pyloop_enter(x->channel.asgi->env.loop);
    x->late = true;
    asgi_ext_file_done(x);
    Py_CLEAR(x->lent);
    channel_wake(&x->channel);
}

/* http.request_timeout cancels anywhere; where requests run in scopes, which end together with what they are for (trio),
 * so does whatever takes the client away. */
static void end_of_scope(struct exchange *x, enum req_end why)
{
    struct asgi *asgi = x->channel.asgi;
    if (why == REQ_END_COMPLETE || (why != REQ_END_REQUEST_TIMEOUT && !asgi->has_checkpoints))
        return;
    x->left_behind |= why == REQ_END_CLIENT_GONE;
    pytasks_cancel(asgi->env.tasks, (PyObject *)x);
}

static void on_peer_eof(struct req *r)
{
    if (unlikely(asgi_ws_owns(r))) {
        websocket_handler_ops.on_peer_eof(r);
        return;
    }
    struct exchange *x = r->user;
    pyloop_enter(x->channel.asgi->env.loop);
    x->peer_eof = true;
    channel_wake(&x->channel);
    if (x->channel.asgi->has_checkpoints) /* receive() says http.disconnect */
        end_of_scope(x, REQ_END_CLIENT_GONE);
}

/* The application continues, with what it has of the request. */
static void leave_request(struct exchange *x, const struct req *r)
{
    x->left = true;
    conn_names_left(x->names, 1);
    x->memory = &r->conn->net->memory;
    memory_keep(x->memory, NULL, &x->kept, req_head_size(r));
}

static void on_end(struct req *r, enum req_end why)
{
    struct exchange *x = r->user;
    if (!x)
        return;
    if (unlikely(asgi_ws_owns(r))) {
        websocket_handler_ops.on_end(r, why);
        return;
    }
    pyloop_enter(x->channel.asgi->env.loop);
    r->user = NULL;
    asgi_drain_forget(x);
    x->req = NULL;
    x->late = true;
    x->gone = why != REQ_END_COMPLETE;
    if (unlikely(x->gone && x->scope))
        leave_request(x, r);
    asgi_ext_file_done(x);
    Py_CLEAR(x->lent);
    channel_wake(&x->channel);
    end_of_scope(x, why);
    Py_DECREF((PyObject *)x);
}

static void on_conn_close(struct handler *h, struct conn *c)
{
    if (!c->user)
        return;
    pyloop_enter(((struct asgi *)h)->env.loop);
    ((struct conn_names *)c->user)->conn = NULL;
    conn_names_unref(c->user);
    c->user = NULL;
}

const struct handler_ops asgi_handler_ops = {
    .name = "asgi",
    .on_request = on_request,
    .on_body = on_body,
    .on_drained = on_drained,
    .on_peer_eof = on_peer_eof,
    .on_end = on_end,
    .on_conn_close = on_conn_close,
};
