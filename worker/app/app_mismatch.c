/* SPDX-License-Identifier: BSD-3-Clause */
/* app_mismatch.c: see app_mismatch.h. */
#include "worker/app/app_mismatch.h"

#include <frameobject.h>
#include <string.h>

#include "common/log.h"
#include "conf/conf.h"
#include "worker/app/interface.h"
#include "worker/app/mount.h"

/* The frames that the exception has left, with any that is a coroutine's; 0: the call itself has failed. */
static unsigned count_frames(PyObject *exception, bool *ret_coroutine)
{
    unsigned n = 0;
    PyObject *traceback = PyException_GetTraceback(exception);
    *ret_coroutine = false;
    for (PyTracebackObject *t = (PyTracebackObject *)traceback; t; t = t->tb_next) {
        PyCodeObject *code = PyFrame_GetCode(t->tb_frame);
        *ret_coroutine |= (code->co_flags & CO_COROUTINE) != 0;
        Py_DECREF(code);
        n++;
    }
    Py_XDECREF(traceback);
    return n;
}

/* Python's words for a wrong number of arguments, and for a result that cannot be awaited. */
static bool speaks_of_call(PyObject *exception)
{
    PyObject *text = PyObject_Str(exception);
    const char *s = text ? PyUnicode_AsUTF8(text) : NULL;
    bool yes = s && (strstr(s, "positional argument") || strstr(s, "can't be used in 'await' expression"));
    PyErr_Clear();
    Py_XDECREF(text);
    return yes;
}

/* In ASGI nothing but the call is not in a coroutine; in WSGI a wrapper may be between. */
static bool is_of_call(bool wsgi, PyObject *exception)
{
    bool coroutine;
    if (!PyErr_GivenExceptionMatches(exception, PyExc_TypeError) || !speaks_of_call(exception))
        return false;
    unsigned frames = count_frames(exception, &coroutine);
    return frames == 0 || (!coroutine && (!wsgi || frames == 1));
}

bool app_is_mismatch(const char *interface, PyObject *exception, PyObject *result)
{
    PyObject *type, *value, *traceback;
    bool wsgi = strcmp(interface, "wsgi") == 0;
    const PyAsyncMethods *async = result ? Py_TYPE(result)->tp_as_async : NULL;
    if (wsgi && async && async->am_await)
        return true;
    if (!exception)
        return false;
    PyErr_Fetch(&type, &value, &traceback);
    bool is = is_of_call(wsgi, exception);
    PyErr_Restore(type, value, traceback);
    return is;
}

void app_say_mismatch(const struct app_env *env, const char *interface, bool *said)
{
    bool wsgi = strcmp(interface, "wsgi") == 0;
    char label[160];
    if (*said)
        return;
    *said = true;
    mounts_label(env->conf, env->app, label, sizeof label);
    const char *key = *label ? "interface" : "app.interface"; /* the label names the section */
    log_error("%sthe application cannot be called as %s (%s = %s): if it is %s, set %s = %s", label,
              wsgi ? "WSGI" : "ASGI", key, env->app->interface == CONF_INTERFACE_AUTO ? "auto" : interface,
              wsgi ? "ASGI" : "WSGI", key, wsgi ? "asgi" : "wsgi");
}
