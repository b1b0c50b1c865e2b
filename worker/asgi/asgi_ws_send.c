/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ws_send.c: what the application sends. While the handshake is held the request is answered
 * like any other: 403, the application's own denial; then come frames. */
#include "worker/asgi/asgi_fields.h"
#include "worker/asgi/asgi_state.h"
#include "worker/asgi/asgi_ws_priv.h"
#include "worker/http/resp.h"

enum channel_result websocket_say_gone(struct websocket *w)
{
    PyErr_SetString(w->channel.asgi->gone_error, "the client has disconnected");
    return CHANNEL_ERROR;
}

static enum channel_result misuse(const char *why)
{
    PyErr_SetString(PyExc_RuntimeError, why);
    return CHANNEL_ERROR;
}

static enum channel_result bad_value(const char *why)
{
    PyErr_SetString(PyExc_ValueError, why);
    return CHANNEL_ERROR;
}

static enum channel_result sent_or_wait(struct websocket *w, bool later)
{
    w->late = !later;
    return later ? CHANNEL_WAIT : CHANNEL_DONE;
}

/* message[key] if it is there and not None (borrowed); else NULL, maybe with an exception set. */
static PyObject *item(PyObject *message, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(message, key);
    return value == Py_None ? NULL : value;
}

/* A str's UTF-8 into *ret; "" if there is none. 0 or -1 with an exception set. */
static int text_span(PyObject *message, PyObject *key, struct span *ret)
{
    Py_ssize_t n = 0;
    PyObject *value = item(message, key);
    *ret = SPAN("");
    if (!value)
        return PyErr_Occurred() ? -1 : 0;
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "\"%U\" must be a str", key);
        return -1;
    }
    const char *p = PyUnicode_AsUTF8AndSize(value, &n);
    if (!p)
        return -1;
    *ret = (struct span){ p, (size_t)n };
    return 0;
}

static enum channel_result accepted(struct websocket *w, enum ws_accepted result)
{
    switch (result) {
    case WS_OPENED:
        return CHANNEL_DONE;
    case WS_BAD_FIELD:
        return bad_value("a header is not valid, or is the server's to send (sec-websocket-*; use "
                         "\"subprotocol\")");
    case WS_BAD_SUBPROTOCOL:
        return bad_value("the client does not offer this \"subprotocol\"");
    case WS_CLIENT_GONE:
        return websocket_say_gone(w);
    case WS_NO_MEMORY:
        break;
    }
    PyErr_NoMemory();
    return CHANNEL_ERROR;
}

static enum channel_result send_accept(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    struct ws_accept a = { .ops = &websocket_user_ops, .user = w };
    struct resp_field small[16], *fields;
    PyObject *keep, *headers = item(message, n->headers);
    enum channel_result r = CHANNEL_ERROR;
    if (w->stage != WEBSOCKET_CONNECTING)
        return misuse("websocket.accept was sent after the WebSocket was accepted or refused");
    if ((!headers && PyErr_Occurred()) || asgi_fields(headers, small, 16, &fields, &a.n_fields, &keep) < 0)
        return CHANNEL_ERROR;
    a.fields = fields;
    if (text_span(message, n->subprotocol, &a.subprotocol) < 0)
        goto out;
    if (!w->req || w->stage != WEBSOCKET_CONNECTING) { /* walking the fields ran the application's code */
        r = websocket_say_gone(w);
        goto out;
    }
    Py_INCREF((PyObject *)w); /* for the session */
    r = accepted(w, ws_accept(w->req, &a, &w->ws));
    if (r == CHANNEL_DONE)
        w->stage = WEBSOCKET_ACCEPTED;
    else
        Py_DECREF((PyObject *)w);
out:
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
    return r;
}

static enum channel_result send_span(struct websocket *w, enum ws_kind kind, struct span bytes)
{
    switch (w->ws ? ws_send(w->ws, kind, bytes) : WS_GONE) {
    case WS_SENT:
        return CHANNEL_DONE;
    case WS_LATER:
        return sent_or_wait(w, true);
    case WS_GONE:
        break;
    }
    return websocket_say_gone(w);
}

static enum channel_result send_buffer(struct websocket *w, PyObject *bytes)
{
    Py_buffer view;
    if (PyBytes_Check(bytes))
        return send_span(w, WS_BINARY, (struct span){ PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes) });
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return CHANNEL_ERROR;
    enum channel_result r = send_span(w, WS_BINARY, (struct span){ view.buf, (size_t)view.len });
    PyBuffer_Release(&view);
    return r;
}

static enum channel_result send_message(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    struct span text;
    if (w->stage == WEBSOCKET_CONNECTING)
        return misuse("websocket.send was sent before websocket.accept");
    PyObject *bytes = item(message, n->bytes);
    if (bytes)
        return send_buffer(w, bytes);
    if (PyErr_Occurred() || text_span(message, n->text, &text) < 0)
        return CHANNEL_ERROR;
    if (!text.n && !item(message, n->text))
        return bad_value("websocket.send needs \"text\" or \"bytes\"");
    return send_span(w, WS_TEXT, text);
}

static enum channel_result send_close(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    struct span reason;
    PyObject *code = item(message, n->code);
    long number = 1000;
    if (!code && PyErr_Occurred())
        return CHANNEL_ERROR;
    if (code && ((number = PyLong_AsLong(code)) == -1) && PyErr_Occurred())
        return CHANNEL_ERROR;
    if (text_span(message, n->reason, &reason) < 0)
        return CHANNEL_ERROR;
    if (w->stage == WEBSOCKET_CONNECTING) {
        w->stage = WEBSOCKET_CLOSED;
        resp_error(w->req, 403);
        return CHANNEL_DONE;
    }
    if (!w->ws)
        return websocket_say_gone(w);
    if (number < 0 || !ws_close(w->ws, (unsigned)number, reason))
        return bad_value("\"code\" may not be sent, or \"reason\" is longer than 123 bytes");
    w->stage = WEBSOCKET_CLOSED;
    websocket_drop_queue(w);
    return CHANNEL_DONE;
}

/* --- denial (extension websocket.http.response) --- */

static enum channel_result denied(struct websocket *w, enum resp_result result)
{
    switch (result) {
    case RESP_SENT:
        return CHANNEL_DONE;
    case RESP_LATER:
        return sent_or_wait(w, true);
    case RESP_GONE:
        return websocket_say_gone(w);
    case RESP_BAD_FIELD:
    case RESP_BAD_LENGTH:
    case RESP_TWO_LENGTHS:
    case RESP_BAD_TRAILER:
    case RESP_BAD_STATUS:
        return bad_value(resp_fault(result));
    case RESP_TOO_LONG:
    case RESP_TOO_SHORT:
        return misuse("response body does not fit its Content-Length");
    case RESP_NO_MEMORY:
        break;
    }
    PyErr_NoMemory();
    return CHANNEL_ERROR;
}

static enum channel_result send_denial_start(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    struct resp_field small[16], *fields;
    size_t n_fields;
    if (w->stage != WEBSOCKET_CONNECTING)
        return misuse("websocket.http.response.start was sent after another answer");
    PyObject *keep, *status = item(message, n->status), *headers = item(message, n->headers);
    if (!status || !PyLong_Check(status)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "websocket.http.response.start needs \"status\", an int");
        return CHANNEL_ERROR;
    }
    long code = PyLong_AsLong(status);
    if ((code == -1 || !headers) && PyErr_Occurred())
        return CHANNEL_ERROR;
    if (asgi_fields(headers, small, 16, &fields, &n_fields, &keep) < 0)
        return CHANNEL_ERROR;
    enum resp_result result = RESP_GONE;
    if (w->req && w->stage == WEBSOCKET_CONNECTING) /* the iterable was the application's code */
        result = resp_start(w->req, &(struct resp_head){ .status = code < 0 || code > 999 ? 0 : (unsigned)code,
                                                         .fields = fields,
                                                         .n_fields = n_fields });
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
    if (result == RESP_SENT || result == RESP_LATER)
        w->stage = WEBSOCKET_DENYING;
    return denied(w, result);
}

static enum channel_result send_denial_body(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    Py_buffer view = { .buf = (void *)(uintptr_t)"" };
    if (w->stage != WEBSOCKET_DENYING)
        return misuse("websocket.http.response.body was sent before websocket.http.response.start");
    int more = asgi_flag(message, n->more_body);
    PyObject *body = item(message, n->body);
    if (more < 0 || (!body && PyErr_Occurred()) || (body && PyObject_GetBuffer(body, &view, PyBUF_SIMPLE) < 0))
        return CHANNEL_ERROR;
    enum resp_result result = RESP_GONE;
    if (w->req) {
        if (!more)
            w->stage = WEBSOCKET_CLOSED;
        result = resp_body(w->req, (struct span){ view.buf, (size_t)view.len }, more);
    }
    if (body)
        PyBuffer_Release(&view);
    return denied(w, result);
}

enum channel_result websocket_send(struct channel *c, PyObject *type, PyObject *message)
{
    struct websocket *w = (struct websocket *)c;
    const struct asgi_names *n = &c->asgi->names;
    if (w->stage == WEBSOCKET_CLOSED)
        return misuse("a message was sent after websocket.close or a complete denial");
    if (w->gone)
        return websocket_say_gone(w);
    if (channel_is(type, n->websocket_send))
        return send_message(w, message);
    if (channel_is(type, n->websocket_accept))
        return send_accept(w, message);
    if (channel_is(type, n->websocket_close) && w->stage != WEBSOCKET_DENYING)
        return send_close(w, message);
    if (channel_is(type, n->websocket_response_start))
        return send_denial_start(w, message);
    if (channel_is(type, n->websocket_response_body))
        return send_denial_body(w, message);
    PyErr_Format(PyExc_ValueError, "unexpected message type \"%U\" for a websocket scope", type);
    return CHANNEL_ERROR;
}
