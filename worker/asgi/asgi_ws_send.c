/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ws_send.c: what the application sends. While the handshake is held the request is answered
 * like any other: 403, the application's own denial; then come frames. */
#include <stdbool.h>

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

/* Whether no message is taken now; then *ret is the result of its send(). Asked again once a message has been read: that
 * was the application's code, which may have sent others. */
static bool refuses(struct websocket *w, enum channel_result *ret)
{
    if (w->stage == WEBSOCKET_CLOSED)
        *ret = misuse("a message was sent after websocket.close or a complete denial");
    else if (w->gone)
        *ret = websocket_say_gone(w);
    else
        return false;
    return true;
}

/* message[key] if it is there and not None, a new reference; else NULL, maybe with an exception set. */
static PyObject *message_item(PyObject *message, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(message, key);
    return value == Py_None ? NULL : Py_XNewRef(value);
}

/* A str of a message, and its UTF-8, which lies in it. */
struct text {
    PyObject *held; /* NULL: there is none */
    struct span span;
};

/* 0 or -1 with an exception set; text_done() follows in any case. */
static int text_get(struct text *t, PyObject *message, PyObject *key)
{
    Py_ssize_t n = 0;
    *t = (struct text){ message_item(message, key), SPAN("") };
    if (!t->held)
        return PyErr_Occurred() ? -1 : 0;
    if (!PyUnicode_Check(t->held)) {
        PyErr_Format(PyExc_TypeError, "\"%U\" must be a str", key);
        return -1;
    }
    const char *p = PyUnicode_AsUTF8AndSize(t->held, &n);
    if (!p)
        return -1;
    t->span = (struct span){ p, (size_t)n };
    return 0;
}

/* How much of a reason fits into a Close frame (RFC 6455 5.5), without half a character at its end. */
static size_t reason_room(const char *p, size_t n)
{
    if (n <= 123)
        return n;
    n = 123;
    while (n && (p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* A reason of any type, as UTF-8 of what str() makes of it. 0 or -1 with an exception set; text_done() follows in any
 * case. */
static int reason_get(struct text *t, PyObject *message, PyObject *key)
{
    PyObject *value = message_item(message, key), *str;
    *t = (struct text){ NULL, SPAN("") };
    if (!value)
        return PyErr_Occurred() ? -1 : 0;
    if (PyBytes_Check(value))
        str = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), "replace");
    else
        str = PyObject_Str(value);
    Py_DECREF(value);
    t->held = str ? PyUnicode_AsEncodedString(str, "utf-8", "replace") : NULL;
    Py_XDECREF(str);
    if (!t->held)
        return -1;
    const char *p = PyBytes_AS_STRING(t->held);
    t->span = (struct span){ p, reason_room(p, (size_t)PyBytes_GET_SIZE(t->held)) };
    return 0;
}

static void text_done(struct text *t)
{
    Py_XDECREF(t->held);
}

static enum channel_result accept_result(struct websocket *w, enum ws_accepted result)
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

static enum channel_result accept_websocket(struct websocket *w, const struct ws_accept *a)
{
    enum channel_result r;
    if (refuses(w, &r))
        return r;
    if (w->stage != WEBSOCKET_CONNECTING)
        return misuse("websocket.accept was sent after the WebSocket was accepted or refused");
    if (!w->req)
        return websocket_say_gone(w);
    Py_INCREF((PyObject *)w); /* for the session */
    r = accept_result(w, ws_accept(w->req, a, &w->ws));
    if (r == CHANNEL_DONE)
        w->stage = WEBSOCKET_ACCEPTED;
    else
        Py_DECREF((PyObject *)w);
    return r;
}

/* The fields come last: what is looked up after them could change them. */
static enum channel_result send_accept(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    struct ws_accept a = { .ops = &websocket_user_ops, .user = w };
    struct resp_field small[16], *fields;
    struct text subprotocol;
    PyObject *keep, *headers = NULL;
    enum channel_result r = CHANNEL_ERROR;
    if (text_get(&subprotocol, message, n->subprotocol) < 0 ||
        (!(headers = message_item(message, n->headers)) && PyErr_Occurred()) ||
        asgi_fields(headers, small, 16, &fields, &a.n_fields, &keep) < 0)
        goto out;
    a.subprotocol = subprotocol.span;
    a.fields = fields;
    r = accept_websocket(w, &a);
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
out:
    Py_XDECREF(headers);
    text_done(&subprotocol);
    return r;
}

static enum channel_result send_span(struct websocket *w, enum ws_kind kind, struct span bytes)
{
    enum channel_result r;
    if (refuses(w, &r))
        return r;
    if (w->stage == WEBSOCKET_CONNECTING)
        return misuse("websocket.send was sent before websocket.accept");
    switch (w->ws ? ws_send(w->ws, kind, bytes) : GONE) {
    case SENT:
        return CHANNEL_DONE;
    case LATER:
        return sent_or_wait(w, true);
    case GONE:
        break;
    }
    return websocket_say_gone(w);
}

static enum channel_result send_binary(struct websocket *w, PyObject *bytes)
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

static enum channel_result send_text(struct websocket *w, PyObject *message)
{
    struct text text;
    enum channel_result r = CHANNEL_ERROR;
    if (text_get(&text, message, w->channel.asgi->names.text) == 0)
        r = text.held ? send_span(w, WS_TEXT, text.span) : bad_value("websocket.send needs \"text\" or \"bytes\"");
    text_done(&text);
    return r;
}

static enum channel_result send_message(struct websocket *w, PyObject *message)
{
    PyObject *bytes = message_item(message, w->channel.asgi->names.bytes);
    if (!bytes)
        return PyErr_Occurred() ? CHANNEL_ERROR : send_text(w, message);
    enum channel_result r = send_binary(w, bytes);
    Py_DECREF(bytes);
    return r;
}

/* The code of a close; -1 with an exception set. */
static int close_code(struct websocket *w, PyObject *message, long *ret)
{
    PyObject *code = message_item(message, w->channel.asgi->names.code);
    *ret = 1000;
    if (code)
        *ret = PyLong_AsLong(code);
    Py_XDECREF(code);
    return PyErr_Occurred() ? -1 : 0;
}

static enum channel_result close_with(struct websocket *w, long code, struct span reason)
{
    enum channel_result r;
    if (refuses(w, &r))
        return r;
    if (w->stage == WEBSOCKET_CONNECTING && w->req) {
        w->stage = WEBSOCKET_CLOSED;
        resp_error(w->req, 403);
        return CHANNEL_DONE;
    }
    if (!w->ws)
        return websocket_say_gone(w);
    if (code < 0 || !ws_close(w->ws, (unsigned)code, reason))
        return bad_value("\"code\" may not be sent");
    w->stage = WEBSOCKET_CLOSED;
    websocket_drop_queue(w);
    return CHANNEL_DONE;
}

static enum channel_result send_close(struct websocket *w, PyObject *message)
{
    long code;
    struct text reason;
    if (w->stage == WEBSOCKET_CONNECTING) /* 403, whatever the rest says: no Close frame will carry it */
        return close_with(w, 1000, SPAN(""));
    if (close_code(w, message, &code) < 0)
        return CHANNEL_ERROR;
    enum channel_result r = CHANNEL_ERROR;
    if (reason_get(&reason, message, w->channel.asgi->names.reason) == 0)
        r = close_with(w, code, reason.span);
    text_done(&reason);
    return r;
}

/* --- denial (extension websocket.http.response) --- */

static enum channel_result denial_result(struct websocket *w, enum resp_result result)
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

static enum channel_result deny(struct websocket *w, const struct resp_head *head)
{
    enum channel_result r;
    if (refuses(w, &r))
        return r;
    if (w->stage != WEBSOCKET_CONNECTING)
        return misuse("websocket.http.response.start was sent after another answer");
    enum resp_result result = w->req ? resp_start(w->req, head) : RESP_GONE;
    if (result == RESP_SENT || result == RESP_LATER)
        w->stage = WEBSOCKET_DENYING;
    return denial_result(w, result);
}

static enum channel_result send_denial_start(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    struct resp_field small[16], *fields;
    struct resp_head head = { 0 };
    int status = asgi_status(message, n->status, "websocket.http.response.start");
    PyObject *keep, *headers = status < 0 ? NULL : message_item(message, n->headers);
    if ((!headers && PyErr_Occurred()) || asgi_fields(headers, small, 16, &fields, &head.n_fields, &keep) < 0) {
        Py_XDECREF(headers);
        return CHANNEL_ERROR;
    }
    head.status = (unsigned)status;
    head.fields = fields;
    enum channel_result r = deny(w, &head);
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
    Py_XDECREF(headers);
    return r;
}

static enum channel_result deny_with(struct websocket *w, struct span body, bool more)
{
    enum channel_result r;
    if (refuses(w, &r))
        return r;
    if (w->stage != WEBSOCKET_DENYING)
        return misuse("websocket.http.response.body was sent before websocket.http.response.start");
    if (!w->req)
        return websocket_say_gone(w);
    if (!more)
        w->stage = WEBSOCKET_CLOSED;
    return denial_result(w, resp_body(w->req, body, more));
}

static enum channel_result send_denial_body(struct websocket *w, PyObject *message)
{
    const struct asgi_names *n = &w->channel.asgi->names;
    int more = asgi_flag(message, n->more_body);
    PyObject *body = more < 0 ? NULL : message_item(message, n->body);
    if (!body)
        return PyErr_Occurred() ? CHANNEL_ERROR : deny_with(w, SPAN(""), more);
    Py_buffer view;
    enum channel_result r = CHANNEL_ERROR;
    if (PyObject_GetBuffer(body, &view, PyBUF_SIMPLE) == 0) {
        r = deny_with(w, (struct span){ view.buf, (size_t)view.len }, more);
        PyBuffer_Release(&view);
    }
    Py_DECREF(body);
    return r;
}

enum channel_result websocket_send(struct channel *c, PyObject *type, PyObject *message)
{
    struct websocket *w = (struct websocket *)c;
    const struct asgi_names *n = &c->asgi->names;
    enum channel_result refused;
    if (refuses(w, &refused))
        return refused;
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
