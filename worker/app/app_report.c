/* SPDX-License-Identifier: BSD-3-Clause */
/* app_report.c: see app_report.h. Writes no log itself. */
#include "worker/app/app_report.h"

#include <stdio.h>
#include <string.h>

#include "common/redact.h"
#include "conf/conf.h"
#include "worker/http/tracing.h"

#define MAX_DEPTH 8

void app_describe(char *to, size_t n, const struct app_request *r)
{
    char client[128], target[500], words[TRACING_WORDS];
    size_t shown = redact(target, sizeof target, r->target, r->hidden->v, r->hidden->n);
    if (!*r->client)
        snprintf(client, sizeof client, "a Unix socket");
    else
        snprintf(client, sizeof client, strchr(r->client, ':') ? "[%s]:%d" : "%s:%d", r->client, (int)r->port);
    snprintf(to, n, "\"%.*s %.*s HTTP/%.*s\" from %s%s", (int)(r->method.n < 40 ? r->method.n : 40), r->method.p,
             (int)shown, target, (int)r->version.n, r->version.p, client, tracing_words(words, r->id));
}

static bool from_disconnect(PyObject *gone, PyObject *exception, int depth)
{
    if (PyErr_GivenExceptionMatches(exception, gone))
        return true;
    if (depth > MAX_DEPTH)
        return false;
    if (PyErr_GivenExceptionMatches(exception, PyExc_BaseExceptionGroup)) {
        PyObject *parts = PyObject_CallMethod(exception, "split", "O", gone);
        bool all = parts && PyTuple_Check(parts) && PyTuple_GET_ITEM(parts, 1) == Py_None;
        Py_XDECREF(parts);
        PyErr_Clear();
        return all;
    }
    PyObject *before = PyException_GetCause(exception);
    if (!before)
        before = PyException_GetContext(exception);
    bool yes = before && from_disconnect(gone, before, depth + 1);
    Py_XDECREF(before);
    return yes;
}

bool app_from_disconnect(PyObject *gone, PyObject *exception)
{
    return from_disconnect(gone, exception, 0);
}

static bool is_or_has(PyObject *exception, PyObject *type)
{
    if (PyErr_GivenExceptionMatches(exception, type))
        return true;
    if (!PyErr_GivenExceptionMatches(exception, PyExc_BaseExceptionGroup))
        return false;
    PyObject *part = PyObject_CallMethod(exception, "subgroup", "O", type);
    bool has = part && part != Py_None;
    Py_XDECREF(part);
    PyErr_Clear();
    return has;
}

const char *app_exit_name(PyObject *exception)
{
    if (is_or_has(exception, PyExc_SystemExit))
        return "SystemExit";
    return is_or_has(exception, PyExc_KeyboardInterrupt) ? "KeyboardInterrupt" : NULL;
}
