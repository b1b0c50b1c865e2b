/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_run.c: see wsgi_run.h. Knows PEP 3333's order of things; how bytes get to the client is wsgi_body.c's. */
#include "worker/wsgi/wsgi_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/app/app_mismatch.h"
#include "worker/app/app_report.h"
#include "worker/python/fork_child.h"
#include "worker/python/pyerr.h"
#include "worker/python/refusal.h"
#include "worker/wsgi/wsgi_body.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_environ.h"
#include "worker/wsgi/wsgi_file.h"
#include "worker/wsgi/wsgi_greenlet.h"
#include "worker/wsgi/wsgi_head.h"
#include "worker/wsgi/wsgi_out.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_start.h"
#include "worker/wsgi/wsgi_state.h"

/* Pieces of a list that are put together: one write, and no chunks. */
#define JOIN_MAX (16u << 10)

/* --- failures --- */

static void report_exception(struct wsgi_call *c)
{
    char line[APP_DESCRIPTION], first[APP_DESCRIPTION + 64];
    PyObject *exception = pyerr_take();
    wsgi_call_describe(c, line, sizeof line);
    if (c->socket_offered && PyErr_GivenExceptionMatches(exception, PyExc_StopIteration)) {
        log_debug("WebSocket of a WSGI application has ended: %s", line); /* what gunicorn takes for it, too */
        Py_DECREF(exception);
        return;
    }
    const char *exit = app_exit_name(exception);
    if (exit) /* close() may raise another one */
        c->exit = exit;
    if (!exit && app_from_disconnect(c->wsgi->gone_error, exception)) {
        log_debug("Client disconnected during %s", line);
    } else if (wsgi_greenlet_was_killed(c, exception)) {
        log_debug("Greenlet ended: %s", line);
    } else {
        refusal_seen(c->wsgi->env.interp, exception);
        snprintf(first, sizeof first, "Exception in WSGI application: %s", line);
        pyerr_log_unhandled(first, exception);
    }
    Py_DECREF(exception);
}

/* Takes the exception that is set: 500, or the answer is cut. */
static void fail_response(struct wsgi_call *c)
{
    report_exception(c);
    if (c->complete)
        return;
    c->complete = true;
    if (c->is_inline)
        wsgi_out_fail(c);
    else
        wsgi_pool_fail(c);
}

/* --- what the application returned --- */

/* True: at the end, one way or another. */
static bool iterate_on(struct wsgi_call *c)
{
    enum wsgi_sent sent = WSGI_SENT;
    while (sent == WSGI_SENT && !wsgi_pool_is_gone(c)) {
        if (c->is_inline && !c->greenlet && wsgi_out_must_wait(c))
            return false;
        PyObject *item = PyIter_Next(c->iterator);
        fork_child_came_back(NULL, false);
        if (!item)
            break;
        sent = wsgi_body_send_item(c, item);
        Py_DECREF(item);
    }
    if (!PyErr_Occurred() && sent == WSGI_SENT && !wsgi_pool_is_gone(c))
        wsgi_body_send(c, SPAN(""), true);
    if (PyErr_Occurred())
        fail_response(c);
    return true;
}

/* Before the first piece is asked for, which may take its time. */
static enum wsgi_sent send_urgent_head(struct wsgi_call *c)
{
    if (c->head_sent || !c->answered)
        return WSGI_SENT;
    if (wsgi_head_is_urgent(c))
        return wsgi_body_send(c, SPAN(""), false);
    atomic_store(&c->head_place, HEAD_HELD);
    return WSGI_SENT;
}

static bool begin_iteration(struct wsgi_call *c)
{
    c->iterator = PyObject_GetIter(c->result);
    fork_child_came_back(NULL, false);
    if (c->iterator && send_urgent_head(c) != WSGI_ERROR)
        return iterate_on(c);
    if (app_is_mismatch("wsgi", NULL, c->result))
        app_say_mismatch(&c->wsgi->env, "wsgi", &c->wsgi->said_mismatch);
    fail_response(c);
    return true;
}

/* The bytes of a list or tuple; -1 if something else is in it. */
static Py_ssize_t total_size(PyObject *const *items, Py_ssize_t n)
{
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!PyBytes_Check(items[i]) || PyBytes_GET_SIZE(items[i]) > PY_SSIZE_T_MAX - total)
            return -1;
        total += PyBytes_GET_SIZE(items[i]);
    }
    return total;
}

static enum wsgi_sent send_joined(struct wsgi_call *c, PyObject *const *items, Py_ssize_t n)
{
    char joined[JOIN_MAX], *to = joined;
    for (Py_ssize_t i = 0; i < n; i++) {
        memcpy(to, PyBytes_AS_STRING(items[i]), (size_t)PyBytes_GET_SIZE(items[i]));
        to += PyBytes_GET_SIZE(items[i]);
    }
    return wsgi_body_send(c, (struct span){ joined, (size_t)(to - joined) }, true);
}

/* A list or tuple: all of it is here, so its length is known. */
static bool send_sequence(struct wsgi_call *c)
{
    PyObject *const *items = PySequence_Fast_ITEMS(c->result);
    Py_ssize_t n = PySequence_Fast_GET_SIZE(c->result), total = total_size(items, n);
    if (total < 0 || (n > 1 && total > (Py_ssize_t)JOIN_MAX)) {
        if (total >= 0 && c->answer && c->answer->length < 0)
            wsgi_answer_set_length(c->answer, (uint64_t)total);
        return begin_iteration(c);
    }
    enum wsgi_sent sent;
    c->ends_at_once = true;
    if (n == 1) {
        PyObject *item = Py_NewRef(items[0]); /* other threads may have the list */
        sent = wsgi_body_send(c, wsgi_bytes_span(item), true);
        Py_DECREF(item);
    } else {
        sent = send_joined(c, items, n);
    }
    if (sent == WSGI_ERROR)
        fail_response(c);
    return true;
}

/* False: it is no file that can be sent by itself. */
static bool send_file(struct wsgi_call *c)
{
    struct wsgi_piece piece = { .last = true };
    int real = wsgi_file_real(c->wsgi, c->result, &piece.fd, &piece.at, &piece.n);
    if (!real)
        return false;
    if (real > 0 && c->answer && c->answer->length >= 0 && (uint64_t)c->answer->length < piece.n)
        piece.n = (size_t)c->answer->length;
    if (real < 0 || wsgi_body_give(c, &piece) == WSGI_ERROR)
        fail_response(c);
    return true;
}

static bool deliver_first(struct wsgi_call *c)
{
    PyObject *result = c->result;
    if (PyList_CheckExact(result) || PyTuple_CheckExact(result))
        return send_sequence(c);
    if (!c->head_sent && c->answered && send_file(c))
        return true;
    return begin_iteration(c);
}

/* After the application has returned, and again when the client has read. True: at the end. */
static bool deliver_result(struct wsgi_call *c)
{
    return c->iterator ? iterate_on(c) : deliver_first(c);
}

/* --- the whole of it --- */

static void call_close(struct wsgi_call *c)
{
    PyObject *result = c->result;
    if (!result || PyList_CheckExact(result) || PyTuple_CheckExact(result))
        return;
    PyObject *close = PyObject_GetAttr(result, c->wsgi->names.close);
    PyObject *r = close ? PyObject_CallNoArgs(close) : NULL;
    fork_child_came_back(NULL, false);
    if (!close && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear();
    else if (!r)
        fail_response(c);
    Py_XDECREF(r);
    Py_XDECREF(close);
}

static void end_call(struct wsgi_call *c)
{
    call_close(c);
    c->finished = true;
    atomic_store(&c->head_place, HEAD_GONE);
    Py_CLEAR(c->iterator);
    Py_CLEAR(c->result);
    Py_CLEAR(c->environ);
}

/* The exception that is set, and stays so, is of the call itself. */
static bool is_mismatch(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    bool is = value && app_is_mismatch("wsgi", value, NULL);
    PyErr_Restore(type, value, traceback);
    return is;
}

static bool call_wsgi_app(struct wsgi_call *c)
{
    PyObject *start = wsgi_start_new(c);
    c->environ = start ? wsgi_environ_new(c) : NULL;
    if (c->environ) {
        PyObject *args[] = { c->environ, start };
        c->result = PyObject_Vectorcall(c->wsgi->app, args, 2, NULL);
        fork_child_came_back(NULL, false);
    }
    Py_XDECREF(start);
    if (c->result)
        return deliver_result(c);
    if (is_mismatch())
        app_say_mismatch(&c->wsgi->env, "wsgi", &c->wsgi->said_mismatch);
    fail_response(c);
    return true;
}

static bool run_in_context(struct wsgi_call *c, bool (*step)(struct wsgi_call *))
{
    bool ended = true;
    if (!c->context || PyContext_Enter(c->context) < 0) {
        fail_response(c);
        end_call(c);
    } else {
        if ((ended = step(c)))
            end_call(c);
        PyContext_Exit(c->context);
    }
    if (ended)
        Py_CLEAR(c->context);
    return ended;
}

bool wsgi_run(struct wsgi_call *c)
{
    c->context = PyContext_Copy(c->wsgi->context);
    return run_in_context(c, call_wsgi_app);
}

bool wsgi_run_resume(struct wsgi_call *c)
{
    return run_in_context(c, deliver_result);
}
