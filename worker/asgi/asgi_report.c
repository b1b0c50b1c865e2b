/* asgi_report.c: see asgi_report.h. Takes the request line from the scope: the request itself may
 * be gone. */
#include "worker/asgi/asgi_report.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "worker/asgi/asgi_http.h"
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
#include "worker/net/conn.h"
#include "worker/python/pyerr.h"

/* str() of a scope entry; "" if there is none. Never leaves an exception set. */
static PyObject *scope_text(PyObject *scope, PyObject *key)
{
    PyObject *value = scope && PyDict_Check(scope) ? PyDict_GetItemWithError(scope, key) : NULL;
    PyObject *text = NULL;
    if (value && PyBytes_Check(value))
        text = PyUnicode_DecodeLatin1(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), NULL);
    else if (value)
        text = PyObject_Str(value);
    if (!text) {
        PyErr_Clear();
        text = PyUnicode_FromString("");
    }
    return text;
}

static const char *utf8(PyObject *text)
{
    const char *s = text ? PyUnicode_AsUTF8(text) : NULL;
    if (!s)
        PyErr_Clear();
    return s ? s : "?";
}

/* "127.0.0.1:5000", "[::1]:5000"; "a Unix socket" where there is no address. */
static void describe_client(struct asgi *asgi, PyObject *scope, char *to, size_t n)
{
    PyObject *client = scope ? PyDict_GetItemWithError(scope, asgi->names.client) : NULL;
    const char *host;
    int port;
    if (client && PyTuple_Check(client) && PyArg_ParseTuple(client, "si", &host, &port)) {
        snprintf(to, n, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
        return;
    }
    PyErr_Clear();
    snprintf(to, n, "a Unix socket");
}

/* "GET /path?query HTTP/1.1" from 127.0.0.1:5000 */
static void describe(struct asgi *asgi, PyObject *scope, char *to, size_t n)
{
    const struct asgi_names *names = &asgi->names;
    PyObject *const keys[] = { names->method, names->raw_path, names->query_string,
                               names->http_version };
    PyObject *texts[4];
    char client[128];
    for (int i = 0; i < 4; i++)
        texts[i] = scope_text(scope, keys[i]);
    describe_client(asgi, scope, client, sizeof client);
    const char *method = utf8(texts[0]), *query = utf8(texts[2]);
    snprintf(to, n, "\"%.40s %.300s%s%.200s HTTP/%.4s\" from %s", *method ? method : "WebSocket", utf8(texts[1]),
             *query ? "?" : "", query, utf8(texts[3]), client);
    for (int i = 0; i < 4; i++)
        Py_XDECREF(texts[i]);
}

/* True if all of the exception comes from send() after a disconnect: itself, what caused it, or
 * every leaf of a group. */
static bool from_disconnect(struct asgi *asgi, PyObject *exception, int depth)
{
    if (PyErr_GivenExceptionMatches(exception, asgi->gone_error))
        return true;
    if (depth > 8)
        return false;
    if (PyErr_GivenExceptionMatches(exception, PyExc_BaseExceptionGroup)) {
        PyObject *parts = PyObject_CallMethod(exception, "split", "O", asgi->gone_error);
        bool all = parts && PyTuple_Check(parts) && PyTuple_GET_ITEM(parts, 1) == Py_None;
        Py_XDECREF(parts);
        PyErr_Clear();
        return all;
    }
    PyObject *before = PyException_GetCause(exception);
    if (!before)
        before = PyException_GetContext(exception);
    bool yes = before && from_disconnect(asgi, before, depth + 1);
    Py_XDECREF(before);
    return yes;
}

void asgi_report_exception(struct asgi *asgi, PyObject *scope, PyObject *exception)
{
    char line[700], first[800];
    describe(asgi, scope, line, sizeof line);
    if (from_disconnect(asgi, exception, 0)) {
        log_debug("Client disconnected during %s", line);
        return;
    }
    if (PyErr_GivenExceptionMatches(exception, asgi->cancelled_error)) {
        log_warning("Request cancelled: %s", line);
        return;
    }
    snprintf(first, sizeof first, "Exception in ASGI application: %s", line);
    pyerr_log_exception(LOG_LEVEL_ERROR, first, exception);
}

static void report_value(struct asgi *asgi, PyObject *scope, PyObject *value)
{
    char line[700];
    describe(asgi, scope, line, sizeof line);
    log_error("ASGI application returned a value of type %.100s instead of None: %s",
              Py_TYPE(value)->tp_name, line);
}

void asgi_report_value(struct exchange *x, PyObject *value)
{
    report_value(x->channel.asgi, x->scope, value);
    struct conn_names *names = x->names;
    if (names && names->conn && names->exchanges == x->number && x->stage == EXCHANGE_COMPLETE)
        conn_close(names->conn);
}

void asgi_report_incomplete(struct exchange *x)
{
    static const char *const what[] = {
        [EXCHANGE_HEAD] = "without sending a response",
        [EXCHANGE_BODY] = "without completing its response",
        [EXCHANGE_TRAILERS] = "without sending the trailers that it had announced",
    };
    char line[700];
    describe(x->channel.asgi, x->scope, line, sizeof line);
    log_error("ASGI application returned %s: %s", what[x->stage], line);
}

void asgi_report_websocket(struct asgi *asgi, PyObject *scope, PyObject *value, const char *what)
{
    char line[700];
    if (value != Py_None)
        report_value(asgi, scope, value);
    if (!what)
        return;
    describe(asgi, scope, line, sizeof line);
    log_error("ASGI application returned %s: %s", what, line);
}
