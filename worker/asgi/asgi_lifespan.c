/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_lifespan.c: startup before the first request, shutdown after the last one. An application
 * that does not know the protocol goes without it (lifespan = auto): it raises an Exception at the
 * scope, before it has received lifespan.startup, returns, or answers as if it were a request. One
 * that says startup.failed, raises when it has received lifespan.startup, or raises what is no
 * Exception (SystemExit) at any time of its startup, fails to start in any case. */
#include "worker/asgi/asgi_lifespan.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "conf/conf.h"
#include "worker/app/app_report.h"
#include "worker/asgi/asgi_channel.h"
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
#include "worker/python/interp.h"
#include "worker/python/pyerr.h"
#include "worker/python/task.h"

enum lifespan_stage {
    LIFESPAN_NEW,
    LIFESPAN_STARTING, /* lifespan.startup was received */
    LIFESPAN_STARTED,  /* startup.complete was sent */
    LIFESPAN_STOPPING, /* lifespan.shutdown may be or was received */
    LIFESPAN_OVER,     /* failed, stopped, unsupported, or the coroutine has ended */
};

struct lifespan {
    struct channel channel; /* first */
    enum lifespan_stage stage;
    bool startup_received, shutdown_received, running;
    bool unsupported; /* the application takes it for a request: what it sends is ignored */
    bool failed_quietly; /* lifespan.startup.failed without a message: its end may say why */
    bool told; /* while it served, the application has said why it ends */
    void (*on_started)(void *arg, enum interface_start result, const char *why);
    void (*on_stopped)(void *arg);
    void *start_arg, *stop_arg;
};

static void end_stage(struct lifespan *l)
{
    l->stage = LIFESPAN_OVER;
}

/* Reports startup's result, once. */
static void report_started(struct lifespan *l, enum interface_start result, const char *why)
{
    void (*done)(void *, enum interface_start, const char *) = l->on_started;
    l->on_started = NULL;
    if (done)
        done(l->start_arg, result, why);
}

static void report_stopped(struct lifespan *l)
{
    void (*done)(void *) = l->on_stopped;
    l->on_stopped = NULL;
    end_stage(l);
    if (done)
        done(l->stop_arg);
}

/* `why`: text for the log; NULL: not known. */
static void report_failure(struct lifespan *l, const char *why)
{
    l->failed_quietly = false;
    report_started(l, INTERFACE_START_FAILED, why ? why : "the application sent lifespan.startup.failed");
}

/* --- channel --- */

/* {"type": type} */
static enum channel_result message_of(struct asgi *asgi, PyObject *type, PyObject **ret)
{
    PyObject *m = PyDict_New();
    if (m && PyDict_SetItem(m, asgi->names.type, type) < 0)
        Py_CLEAR(m);
    *ret = m;
    return m ? CHANNEL_DONE : CHANNEL_ERROR;
}

static enum channel_result lifespan_receive(struct channel *c, PyObject **ret)
{
    struct lifespan *l = (struct lifespan *)c;
    const struct asgi_names *n = &c->asgi->names;
    if (l->failed_quietly)
        report_failure(l, NULL);
    if (!l->startup_received && !l->unsupported) {
        l->startup_received = true;
        l->stage = LIFESPAN_STARTING;
        return message_of(c->asgi, n->lifespan_startup, ret);
    }
    if (l->stage != LIFESPAN_STOPPING || l->shutdown_received)
        return CHANNEL_WAIT;
    l->shutdown_received = true;
    return message_of(c->asgi, n->lifespan_shutdown, ret);
}

/* "message" of a failed event; malloc'ed, "" if there is none. */
static char *failure_text(struct channel *c, PyObject *message)
{
    PyObject *text = PyDict_GetItemWithError(message, c->asgi->names.message);
    const char *s = text && PyUnicode_Check(text) ? PyUnicode_AsUTF8(text) : NULL;
    PyErr_Clear();
    return strdup(s ? s : "");
}

static void startup_failed(struct channel *c, PyObject *message)
{
    struct lifespan *l = (struct lifespan *)c;
    char *text = failure_text(c, message);
    end_stage(l);
    l->failed_quietly = text && !*text;
    if (!l->failed_quietly)
        report_failure(l, text);
    free(text);
}

/* While it serves, after an exception in what surrounds the yield of a lifespan function: the exception itself follows, or
 * not, but it is in the text. */
static void lifespan_broke(struct channel *c, PyObject *message)
{
    char *text = failure_text(c, message);
    ((struct lifespan *)c)->told = text && *text;
    log_block(LOG_LEVEL_ERROR, "The application's lifespan has failed while it serves", text ? text : "",
              text ? strlen(text) : 0);
    free(text);
}

/* An application that never looks at scope["type"]. */
static bool is_no_lifespan(const struct lifespan *l, PyObject *type)
{
    const char *name = PyUnicode_AsUTF8(type);
    PyErr_Clear();
    return name && (strncmp(name, "http.", 5) == 0 || strncmp(name, "websocket.", 10) == 0) &&
           l->channel.asgi->env.app->lifespan == CONF_LIFESPAN_AUTO;
}

static void go_without(struct lifespan *l)
{
    log_info("Application answers lifespan with messages of another protocol, so it does not support lifespan: goes on "
             "without");
    l->unsupported = true;
    end_stage(l);
    Py_CLEAR(l->channel.asgi->state);
    report_started(l, INTERFACE_STARTED, NULL);
}

static void shutdown_failed(struct channel *c, PyObject *message)
{
    char *text = failure_text(c, message);
    log_block(LOG_LEVEL_ERROR, "Application shutdown failed", text ? text : "", text ? strlen(text) : 0);
    free(text);
    report_stopped((struct lifespan *)c);
}

static enum channel_result lifespan_send(struct channel *c, PyObject *type, PyObject *message)
{
    struct lifespan *l = (struct lifespan *)c;
    const struct asgi_names *n = &c->asgi->names;
    bool starting = l->stage == LIFESPAN_NEW || l->stage == LIFESPAN_STARTING;
    if (channel_is(type, n->lifespan_startup_complete) && starting) {
        l->stage = l->on_stopped ? LIFESPAN_STOPPING : LIFESPAN_STARTED;
        report_started(l, INTERFACE_STARTED, NULL);
    } else if (channel_is(type, n->lifespan_startup_failed) && starting) {
        startup_failed(c, message);
    } else if (channel_is(type, n->lifespan_shutdown_complete) && l->stage == LIFESPAN_STOPPING) {
        report_stopped(l);
    } else if (channel_is(type, n->lifespan_shutdown_failed) && l->stage == LIFESPAN_STOPPING) {
        shutdown_failed(c, message);
    } else if (channel_is(type, n->lifespan_shutdown_failed) && l->stage == LIFESPAN_STARTED) {
        lifespan_broke(c, message);
    } else if (starting && !l->on_stopped && is_no_lifespan(l, type)) {
        go_without(l);
    } else if (!l->unsupported) {
        PyErr_Format(PyExc_RuntimeError, "unexpected message \"%U\" at this stage of the lifespan", type);
        return CHANNEL_ERROR;
    }
    return CHANNEL_DONE;
}

static enum channel_result lifespan_sent(struct channel *c)
{
    return CHANNEL_DONE;
}

static const struct channel_ops lifespan_ops = {
    .name = "lifespan",
    .receive = lifespan_receive,
    .send = lifespan_send,
    .sent = lifespan_sent,
};

/* --- the coroutine's end --- */

/* Whether it knows the protocol, and startup went wrong. */
static bool is_failure(const struct lifespan *l, PyObject *exception)
{
    return l->startup_received || !PyErr_GivenExceptionMatches(exception, PyExc_Exception);
}

/* It ended before startup.complete: not supported, or broken. */
static void ended_early(struct lifespan *l, PyObject *exception)
{
    struct asgi *asgi = l->channel.asgi;
    char *module = NULL;
    if (exception && asgi->env.interp->sub && pyerr_refuses_subinterpreter(exception, &module)) {
        char *text = pyerr_format(exception);
        report_started(l, INTERFACE_START_NEEDS_MAIN, text);
        free(text);
        free(module);
        return;
    }
    if (asgi->env.app->lifespan == CONF_LIFESPAN_ON || (exception && is_failure(l, exception))) {
        char *text = exception ? pyerr_format(exception) : NULL;
        report_started(l, INTERFACE_START_FAILED,
                       text ? text : "the application returned before lifespan.startup.complete");
        free(text);
        return;
    }
    if (exception)
        log_info("Application does not support the lifespan protocol: goes on without");
    Py_CLEAR(asgi->state);
    report_started(l, INTERFACE_STARTED, NULL);
}

/* While it serves. */
static void report_lifespan_exit(struct asgi *asgi, PyObject *exception)
{
    const char *name = app_exit_name(exception);
    char why[80];
    if (!name)
        return;
    snprintf(why, sizeof why, "%s in the application's lifespan", name);
    asgi->env.on_exit(asgi->env.exit_arg, why);
}

static void on_lifespan_done(PyObject *arg, PyObject *result, PyObject *exception)
{
    struct lifespan *l = (struct lifespan *)arg;
    enum lifespan_stage was = l->stage;
    l->running = false;
    if (was == LIFESPAN_NEW || was == LIFESPAN_STARTING) {
        end_stage(l);
        if (!l->on_stopped) {
            ended_early(l, exception);
            return;
        }
        report_started(l, INTERFACE_START_FAILED, "stopped while it started");
    }
    if (l->failed_quietly) {
        char *text = exception ? pyerr_format(exception) : NULL;
        report_failure(l, text);
        free(text);
    }
    bool left = exception && PyErr_GivenExceptionMatches(exception, l->channel.asgi->cancelled_error);
    if (exception && !left && was != LIFESPAN_OVER && !l->told)
        pyerr_log_exception(LOG_LEVEL_ERROR, "Exception in the application's lifespan", exception);
    if (exception && was == LIFESPAN_STARTED)
        report_lifespan_exit(l->channel.asgi, exception);
    report_stopped(l);
}

/* --- life --- */

static void lifespan_dealloc(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    channel_clear((struct channel *)o);
    PyObject_Free(o);
    Py_DECREF(type);
}

static PyType_Slot lifespan_slots[] = { { Py_tp_dealloc, lifespan_dealloc }, { 0 } };

static PyType_Spec lifespan_spec = {
    .name = "tine.Lifespan",
    .basicsize = sizeof(struct lifespan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = lifespan_slots,
};

int asgi_lifespan_init(struct asgi *asgi)
{
    asgi->lifespan_type = (PyTypeObject *)PyType_FromSpec(&lifespan_spec);
    return asgi->lifespan_type ? 0 : -1;
}

static struct lifespan *lifespan_new(struct asgi *asgi)
{
    struct lifespan *l = PyObject_New(struct lifespan, asgi->lifespan_type);
    if (!l)
        return NULL;
    channel_init(&l->channel, asgi, &lifespan_ops);
    memset((char *)l + sizeof l->channel, 0, sizeof *l - sizeof l->channel);
    return l;
}

static int call_lifespan_app(struct asgi *asgi, struct lifespan *l)
{
    PyObject *scope = Py_BuildValue("{sOs{ssss}sOOO}", "type", asgi->names.lifespan, "asgi", "version", asgi->version,
                                    "spec_version", "2.0", "state", asgi->state, asgi->names.draining, asgi->draining);
    PyObject *receive = channel_receive_new(&l->channel), *send = channel_send_new(&l->channel);
    int r = -1;
    if (scope && receive && send) {
        PyObject *args[] = { scope, receive, send };
        l->running = true;
        r = pytask_call(asgi->env.tasks, asgi->app, args, 3, on_lifespan_done, (PyObject *)l);
    }
    Py_XDECREF(scope);
    Py_XDECREF(receive);
    Py_XDECREF(send);
    return r;
}

void asgi_lifespan_start(struct asgi *asgi, void (*done)(void *, enum interface_start, const char *), void *arg)
{
    if (asgi->env.app->lifespan == CONF_LIFESPAN_OFF) {
        done(arg, INTERFACE_STARTED, NULL);
        return;
    }
    struct lifespan *l = NULL;
    if (!(asgi->state = PyDict_New()) || !(l = lifespan_new(asgi)))
        goto fail;
    asgi->lifespan = &l->channel;
    l->on_started = done;
    l->start_arg = arg;
    if (call_lifespan_app(asgi, l) == 0)
        return;
fail:;
    PyObject *exception = pyerr_take();
    if (l) {
        on_lifespan_done((PyObject *)l, NULL, exception);
    } else {
        char *text = pyerr_format(exception);
        done(arg, INTERFACE_START_FAILED, text);
        free(text);
    }
    Py_XDECREF(exception);
}

void asgi_lifespan_stop(struct asgi *asgi, void (*done)(void *), void *arg)
{
    struct lifespan *l = (struct lifespan *)asgi->lifespan;
    if (!l || l->stage > LIFESPAN_STARTED || !l->running) {
        done(arg);
        return;
    }
    l->on_stopped = done;
    l->stop_arg = arg;
    if (l->stage != LIFESPAN_STARTED) { /* one that starts all the same is shut down in order */
        pytasks_cancel(asgi->env.tasks, (PyObject *)l);
        return;
    }
    l->stage = LIFESPAN_STOPPING;
    channel_wake(&l->channel);
}

bool asgi_lifespan_running(const struct asgi *asgi)
{
    const struct lifespan *l = (const struct lifespan *)asgi->lifespan;
    return l && l->running;
}
