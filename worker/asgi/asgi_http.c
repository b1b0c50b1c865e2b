/* asgi_http.c: from request to application and from its messages to an answer. HTTP's own rules are
 * resp.c's. */
#include "worker/asgi/asgi_http.h"

#include <stddef.h>

#include "common/fdutil.h"
#include "worker/asgi/asgi_ext.h"
#include "worker/asgi/asgi_report.h"
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
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

static PyObject *message_request(const struct asgi *asgi, struct span body, bool more)
{
    const struct asgi_names *n = &asgi->names;
    PyObject *m = PyDict_New();
    PyObject *bytes = body.n ? PyBytes_FromStringAndSize(body.p, (Py_ssize_t)body.n)
                             : Py_NewRef(asgi->empty_bytes);
    if (m && (!bytes || PyDict_SetItem(m, n->type, n->http_request) < 0 ||
              PyDict_SetItem(m, n->body, bytes) < 0 ||
              PyDict_SetItem(m, n->more_body, more ? Py_True : Py_False) < 0))
        Py_CLEAR(m);
    Py_XDECREF(bytes);
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
    *ret = message_request(x->channel.asgi, body, !last);
    if (!*ret)
        return CHANNEL_ERROR;
    x->request_told = last;
    if (body.n)
        req_body_take(r, body.n);
    return CHANNEL_DONE;
}

static enum channel_result exchange_receive(struct channel *c, PyObject **ret)
{
    struct exchange *x = (struct exchange *)c;
    if (!x->req)
        return receive_disconnect(x, ret);
    if (!x->request_told)
        return receive_body(x, ret);
    if (!x->peer_eof)
        return CHANNEL_WAIT;
    req_abandon(x->req); /* told of the disconnect, the application gets errors from send() */
    return receive_disconnect(x, ret);
}

/* --- send --- */

enum channel_result exchange_result(struct exchange *x, int result)
{
    switch ((enum resp_result)result) {
    case RESP_SENT:
        return CHANNEL_DONE;
    case RESP_LATER:
        x->late = false;
        return CHANNEL_WAIT;
    case RESP_GONE:
        x->gone = true;
        PyErr_SetString(x->channel.asgi->gone_error, "the client has disconnected");
        return CHANNEL_ERROR;
    case RESP_BAD_FIELD:
        PyErr_SetString(PyExc_ValueError,
                        "header name is not a token, or its value has CR, LF or NUL");
        return CHANNEL_ERROR;
    case RESP_BAD_STATUS:
        PyErr_SetString(PyExc_ValueError, "\"status\" must be from 200 to 999");
        return CHANNEL_ERROR;
    case RESP_TOO_LONG:
        PyErr_SetString(PyExc_RuntimeError, "response body is longer than its Content-Length");
        return CHANNEL_ERROR;
    case RESP_TOO_SHORT:
        PyErr_SetString(PyExc_RuntimeError, "response body is shorter than its Content-Length");
        return CHANNEL_ERROR;
    case RESP_NO_MEMORY:
        break;
    }
    PyErr_NoMemory();
    return CHANNEL_ERROR;
}

/* name and value of one [name, value]: bytes both. */
static int pair_spans(PyObject *pair, struct resp_field *f)
{
    PyObject *name, *value;
    if (PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2) {
        name = PyTuple_GET_ITEM(pair, 0);
        value = PyTuple_GET_ITEM(pair, 1);
    } else if (PyList_CheckExact(pair) && PyList_GET_SIZE(pair) == 2) {
        name = PyList_GET_ITEM(pair, 0);
        value = PyList_GET_ITEM(pair, 1);
    } else {
        PyErr_SetString(PyExc_TypeError,
                        "each header must be a [name, value] of two bytes objects");
        return -1;
    }
    if (!PyBytes_Check(name) || !PyBytes_Check(value)) {
        PyErr_Format(PyExc_TypeError, "header names and values must be bytes, not %s and %s",
                     Py_TYPE(name)->tp_name, Py_TYPE(value)->tp_name);
        return -1;
    }
    f->name = (struct span){ PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name) };
    f->value = (struct span){ PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value) };
    return 0;
}

/* Turns what is neither tuple nor list (generators' items, namedtuples ...) into tuples that `keep`
 * holds. */
static int pairs_exact(PyObject *keep)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keep); i++) {
        PyObject *pair = PyList_GET_ITEM(keep, i);
        if (PyTuple_CheckExact(pair) || PyList_CheckExact(pair))
            continue;
        PyObject *tuple =
            PyBytes_Check(pair) || PyUnicode_Check(pair) ? NULL : PySequence_Tuple(pair);
        if (!tuple) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError,
                                "each header must be a [name, value] of two bytes objects");
            return -1;
        }
        if (PyList_SetItem(keep, i, tuple) < 0)
            return -1;
    }
    return 0;
}

/* A list that is safe to walk: the application's own list or tuple when its items are exact, else a
 * copy. */
static PyObject *fields_list(PyObject *headers)
{
    bool plain = PyList_CheckExact(headers) || PyTuple_CheckExact(headers);
    for (Py_ssize_t i = 0; plain && i < PySequence_Fast_GET_SIZE(headers); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(headers, i);
        plain = PyTuple_CheckExact(pair) || PyList_CheckExact(pair);
    }
    if (plain)
        return Py_NewRef(headers);
    PyObject *list = PySequence_List(headers);
    if (list && pairs_exact(list) < 0)
        Py_CLEAR(list);
    return list;
}

int exchange_fields(PyObject *headers, struct resp_field *small, size_t small_n,
                    struct resp_field **ret_fields, size_t *ret_n, PyObject **ret_keep)
{
    *ret_fields = small;
    *ret_n = 0;
    *ret_keep = NULL;
    if (!headers || headers == Py_None)
        return 0;
    PyObject *keep = fields_list(headers);
    if (!keep)
        return -1;
    size_t n = (size_t)PySequence_Fast_GET_SIZE(keep);
    struct resp_field *fields = small;
    if (n > small_n && !(fields = PyMem_New(struct resp_field, n))) {
        PyErr_NoMemory();
        goto fail;
    }
    for (size_t i = 0; i < n; i++)
        if (pair_spans(PySequence_Fast_GET_ITEM(keep, (Py_ssize_t)i), &fields[i]) < 0)
            goto fail_fields;
    *ret_fields = fields;
    *ret_n = n;
    *ret_keep = keep;
    return 0;
fail_fields:
    if (fields != small)
        PyMem_Free(fields);
fail:
    Py_DECREF(keep);
    return -1;
}

static int flag(PyObject *message, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(message, key);
    if (!value)
        return PyErr_Occurred() ? -1 : 0;
    return PyObject_IsTrue(value);
}

static enum channel_result send_start(struct exchange *x, PyObject *message)
{
    const struct asgi_names *n = &x->channel.asgi->names;
    if (x->stage != EXCHANGE_HEAD) {
        PyErr_SetString(PyExc_RuntimeError, "http.response.start was sent twice");
        return CHANNEL_ERROR;
    }
    PyObject *status = PyDict_GetItemWithError(message, n->status);
    if (!status || !PyLong_Check(status)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "http.response.start needs \"status\", an int");
        return CHANNEL_ERROR;
    }
    long code = PyLong_AsLong(status);
    int trailers = flag(message, n->trailers);
    if ((code == -1 && PyErr_Occurred()) || trailers < 0)
        return CHANNEL_ERROR;
    struct resp_field small[32], *fields;
    size_t n_fields;
    PyObject *keep, *headers = PyDict_GetItemWithError(message, n->headers);
    if (exchange_fields(headers, small, 32, &fields, &n_fields, &keep) < 0)
        return CHANNEL_ERROR;
    enum resp_result result = RESP_GONE;
    if (x->req &&
        x->stage == EXCHANGE_HEAD) /* the iterable was the application's code: look again */
        result = resp_start(
            x->req, &(struct resp_head){ .status = code < 0 || code > 999 ? 0 : (unsigned)code,
                                         .fields = fields,
                                         .n_fields = n_fields,
                                         .trailers = trailers });
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
    if (result == RESP_SENT || result == RESP_LATER) {
        x->stage = EXCHANGE_BODY;
        x->trailers = trailers;
    }
    return exchange_result(x, result);
}

static enum channel_result send_bytes(struct exchange *x, struct span bytes, bool more)
{
    if (!x->req) /* the message was the application's code: look again */
        return exchange_result(x, RESP_GONE);
    if (!more)
        x->stage = x->trailers ? EXCHANGE_TRAILERS : EXCHANGE_COMPLETE;
    return exchange_result(x, (int)resp_body(x->req, bytes, more));
}

static enum channel_result send_body(struct exchange *x, PyObject *message)
{
    const struct asgi_names *n = &x->channel.asgi->names;
    if (x->stage == EXCHANGE_HEAD) {
        PyErr_SetString(PyExc_RuntimeError,
                        "http.response.body was sent before http.response.start");
        return CHANNEL_ERROR;
    }
    int more = flag(message, n->more_body);
    PyObject *body = PyDict_GetItemWithError(message, n->body);
    if (more < 0 || (!body && PyErr_Occurred()))
        return CHANNEL_ERROR;
    if (!body)
        return send_bytes(x, (struct span){ "", 0 }, more);
    if (PyBytes_Check(body))
        return send_bytes(
            x, (struct span){ PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body) }, more);
    Py_buffer view;
    if (PyObject_GetBuffer(body, &view, PyBUF_SIMPLE) < 0)
        return CHANNEL_ERROR;
    enum channel_result result = send_bytes(x, (struct span){ view.buf, (size_t)view.len }, more);
    PyBuffer_Release(&view);
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

static enum channel_result exchange_send(struct channel *c, PyObject *type, PyObject *message)
{
    struct exchange *x = (struct exchange *)c;
    const struct asgi_names *n = &c->asgi->names;
    if (x->gone)
        return exchange_result(x, RESP_GONE);
    if (x->stage == EXCHANGE_COMPLETE || !x->req)
        return CHANNEL_DONE; /* "any further messages will be ignored" */
    if (x->file || x->file_fd >= 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the send() of a file must be awaited before the next message");
        return CHANNEL_ERROR;
    }
    if (channel_is(type, n->response_body) && x->stage <= EXCHANGE_BODY)
        return send_body(x, message);
    if (channel_is(type, n->response_start))
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
    memset((char *)x + offsetof(struct exchange, req), 0,
           sizeof *x - offsetof(struct exchange, req));
    x->req = r;
    x->file_fd = -1;
    return x;
}

static void exchange_dealloc(PyObject *o)
{
    struct exchange *x = (struct exchange *)o;
    struct asgi *asgi = x->channel.asgi;
    asgi_ext_file_done(x);
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

/* The application's coroutine has ended: makes an answer of what it left open. */
static void on_app_done(PyObject *arg, PyObject *result, PyObject *exception)
{
    struct exchange *x = (struct exchange *)arg;
    if (exception)
        asgi_report_exception(x, exception);
    else if (result && result != Py_None)
        asgi_report_value(x, result);
    else if (x->req && x->stage != EXCHANGE_COMPLETE)
        asgi_report_incomplete(x);
    Py_CLEAR(x->scope);
    if (!x->req || x->stage == EXCHANGE_COMPLETE)
        return;
    if (x->stage == EXCHANGE_HEAD)
        resp_error(x->req, 500);
    else
        resp_abort(x->req);
}

static int call_app(struct asgi *asgi, struct exchange *x)
{
    PyObject *receive = channel_receive_new(&x->channel), *send = channel_send_new(&x->channel);
    x->scope = asgi_scope_http(asgi, x->req);
    int r = -1;
    if (receive && send && x->scope) {
        PyObject *args[] = { x->scope, receive, send };
        x->names = conn_names_ref(x->req->conn->user);
        x->number = x->names->exchanges;
        r = pytask_call(asgi->env.tasks, asgi->app, args, 3, on_app_done, (PyObject *)x);
    }
    Py_XDECREF(receive);
    Py_XDECREF(send);
    return r;
}

static void on_request(struct handler *h, struct req *r)
{
    struct asgi *asgi = (struct asgi *)h;
    pyloop_enter(asgi->env.loop);
    struct exchange *x = exchange_new(asgi, r);
    if (!x) {
        pyerr_log(LOG_LEVEL_ERROR, "Cannot start a request");
        resp_error(r, 503);
        return;
    }
    r->user = Py_NewRef((PyObject *)x);
    if (call_app(asgi, x) < 0) {
        PyObject *exception = pyerr_take();
        on_app_done((PyObject *)x, NULL, exception);
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
    struct exchange *x = r->user;
    pyloop_enter(x->channel.asgi->env.loop);
    x->late = true;
    asgi_ext_file_done(x);
    channel_wake(&x->channel);
}

static void on_peer_eof(struct req *r)
{
    struct exchange *x = r->user;
    pyloop_enter(x->channel.asgi->env.loop);
    x->peer_eof = true;
    channel_wake(&x->channel);
}

static void on_end(struct req *r, enum req_end why)
{
    struct exchange *x = r->user;
    if (!x)
        return;
    pyloop_enter(x->channel.asgi->env.loop);
    r->user = NULL;
    x->req = NULL;
    x->late = true;
    x->gone = why != REQ_END_COMPLETE;
    asgi_ext_file_done(x);
    channel_wake(&x->channel);
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
