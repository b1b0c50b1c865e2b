/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_report.c: see asgi_report.h. Takes the request line from the scope: the request itself may
 * be gone. */
#include "worker/asgi/asgi_report.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "worker/app/app_mismatch.h"
#include "conf/conf.h"
#include "worker/app/app_report.h"
#include "worker/asgi/asgi_exchange.h"
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
#include "worker/asgi/asgi_ws_priv.h"
#include "worker/net/conn.h"
#include "worker/net/proto.h"
#include "worker/python/pyerr.h"
#include "worker/python/refusal.h"

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

/* The method; of a WebSocket, which has none in its scope, a word for it. */
static const char *request_word(const struct asgi_names *names, PyObject *scope, PyObject *method)
{
    const char *word = utf8(method);
    if (*word)
        return word;
    PyObject *type = PyDict_GetItemWithError(scope, names->type);
    bool websocket = type && PyUnicode_Check(type) && PyUnicode_CompareWithASCIIString(type, "websocket") == 0;
    PyErr_Clear();
    return websocket ? "WebSocket" : "?";
}

/* The application may have taken out of the scope what it got in it. */
static bool has_request(PyObject *scope, const struct asgi_names *names)
{
    bool has = scope && PyDict_Check(scope) && PyDict_GetItemWithError(scope, names->raw_path) &&
               PyDict_GetItemWithError(scope, names->http_version);
    PyErr_Clear();
    return has;
}

/* The request's id, from its fields as the application has them; n = 0: none. */
static struct span scope_id(const struct asgi *asgi, PyObject *scope)
{
    PyObject *headers = asgi->env.conf->http.request_id ? PyDict_GetItemWithError(scope, asgi->names.headers) : NULL;
    PyErr_Clear();
    for (Py_ssize_t i = 0; headers && PyList_Check(headers) && i < PyList_GET_SIZE(headers); i++) {
        PyObject *pair = PyList_GET_ITEM(headers, i);
        PyObject *name = PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2 ? PyTuple_GET_ITEM(pair, 0) : NULL;
        PyObject *value = name ? PyTuple_GET_ITEM(pair, 1) : NULL;
        if (name && PyBytes_Check(name) && PyBytes_Check(value) && strcmp(PyBytes_AS_STRING(name), "x-request-id") == 0)
            return (struct span){ PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value) };
    }
    return (struct span){ NULL, 0 };
}

/* "GET /path?query HTTP/1.1" from 127.0.0.1:5000, request ID */
static void describe(struct asgi *asgi, PyObject *scope, char *to, size_t n)
{
    const struct asgi_names *names = &asgi->names;
    if (!has_request(scope, names)) {
        snprintf(to, n, "a request whose scope is not there");
        return;
    }
    PyObject *const keys[] = { names->method, names->raw_path, names->query_string, names->http_version };
    PyObject *texts[4], *client = NULL;
    const char *host = "";
    int port = 0;
    char target[600];
    for (int i = 0; i < 4; i++)
        texts[i] = scope_text(scope, keys[i]);
    client = PyDict_GetItemWithError(scope, names->client);
    if (!client || !PyTuple_Check(client) || !PyArg_ParseTuple(client, "si", &host, &port))
        PyErr_Clear();
    const char *method = request_word(names, scope, texts[0]), *query = utf8(texts[2]);
    snprintf(target, sizeof target, "%.300s%s%.200s", utf8(texts[1]), *query ? "?" : "", query);
    app_describe(to, n,
                 &(struct app_request){ span_of(method), span_of(target), span_of(utf8(texts[3])), host, port,
                                        &asgi->env.conf->log.redact, scope_id(asgi, scope) });
    for (int i = 0; i < 4; i++)
        Py_XDECREF(texts[i]);
}

/* The application wants the process to end. */
static void report_request_exit(struct asgi *asgi, const char *name, const char *line)
{
    char why[APP_DESCRIPTION + 40];
    snprintf(why, sizeof why, "%s in %s", name, line);
    asgi->env.on_exit(asgi->env.exit_arg, why);
}

void asgi_report_mismatch(struct asgi *asgi, PyObject *exception)
{
    const char *interface = asgi->version[0] == '2' ? "asgi2" : "asgi";
    if (app_is_mismatch(interface, exception, NULL))
        app_say_mismatch(&asgi->env, interface, &asgi->said_mismatch);
}

void asgi_report_exception(struct asgi *asgi, PyObject *scope, PyObject *exception)
{
    char line[APP_DESCRIPTION], first[APP_DESCRIPTION + 64];
    const char *exit = app_exit_name(exception);
    describe(asgi, scope, line, sizeof line);
    if (!exit && app_from_disconnect(asgi->gone_error, exception)) {
        log_debug("Client disconnected during %s", line);
        return;
    }
    if (PyErr_GivenExceptionMatches(exception, asgi->cancelled_error)) {
        log_warning("Request cancelled: %s", line);
        return;
    }
    refusal_seen(asgi->env.interp, exception);
    snprintf(first, sizeof first, "Exception in ASGI application: %s", line);
    pyerr_log_unhandled(first, exception);
    if (exit)
        report_request_exit(asgi, exit, line);
}

static void report_value(struct asgi *asgi, PyObject *scope, PyObject *value)
{
    char line[APP_DESCRIPTION];
    describe(asgi, scope, line, sizeof line);
    log_error("ASGI application returned a value of type %.100s instead of None: %s", Py_TYPE(value)->tp_name, line);
}

void asgi_report_value(struct exchange *x, PyObject *value)
{
    report_value(x->channel.asgi, x->scope, value);
    struct conn *c = x->names ? x->names->conn : NULL;
    /* The connection ends, unless it serves the next request already, perhaps by another handler than this one. */
    if (c && !c->shared && x->stage == EXCHANGE_COMPLETE)
        c->proto->on_shutdown(c);
}

void asgi_report_incomplete(struct exchange *x)
{
    static const char *const what[] = {
        [EXCHANGE_HEAD] = "without sending a response",
        [EXCHANGE_BODY] = "without completing its response",
        [EXCHANGE_TRAILERS] = "without sending the trailers that it had announced",
    };
    char line[APP_DESCRIPTION];
    describe(x->channel.asgi, x->scope, line, sizeof line);
    log_error("ASGI application returned %s: %s", what[x->stage], line);
}

void asgi_report_websocket(struct asgi *asgi, PyObject *scope, PyObject *value, const char *what)
{
    char line[APP_DESCRIPTION];
    if (value != Py_None)
        report_value(asgi, scope, value);
    if (!what)
        return;
    describe(asgi, scope, line, sizeof line);
    log_error("ASGI application returned %s: %s", what, line);
}

static PyObject *scope_of(PyObject *arg)
{
    const struct asgi *asgi = ((struct channel *)arg)->asgi;
    if (Py_IS_TYPE(arg, asgi->exchange_type))
        return ((struct exchange *)arg)->scope;
    return Py_IS_TYPE(arg, asgi->websocket_type) ? ((struct websocket *)arg)->scope : NULL;
}

void asgi_describe_step(PyObject *arg, char *to, size_t size)
{
    const struct asgi_names *names = &((struct channel *)arg)->asgi->names;
    PyObject *scope = scope_of(arg);
    if (!scope) /* its application has ended, or it is the lifespan's */
        return;
    PyObject *method = scope_text(scope, names->method), *path = scope_text(scope, names->raw_path);
    if (PyDict_Check(scope))
        snprintf(to, size, "%s %s", request_word(names, scope, method), utf8(path));
    Py_XDECREF(method);
    Py_XDECREF(path);
}
