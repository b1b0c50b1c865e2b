/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi.c: opens and closes ASGI for a worker; the work is done in asgi_http.c and asgi_lifespan.c.
 */
#include "worker/asgi/asgi.h"

#include <stdlib.h>

#include "worker/asgi/asgi2.h"
#include "worker/asgi/asgi_drain.h"
#include "worker/asgi/asgi_http.h"
#include "worker/asgi/asgi_lifespan.h"
#include "worker/asgi/asgi_report.h"
#include "worker/asgi/asgi_scope.h"
#include "worker/asgi/asgi_state.h"
#include "worker/asgi/asgi_ws.h"
#include "worker/python/awaitable.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/task.h"

static int names_init(struct asgi_names *names)
{
#define NAME(member, text)                                   \
    if (!(names->member = PyUnicode_InternFromString(text))) \
        return -1;
#include "worker/asgi/asgi_names.def"
    return 0;
}

static void names_done(struct asgi_names *names)
{
#define NAME(member, text) Py_CLEAR(names->member);
#include "worker/asgi/asgi_names.def"
}

/* Only for one that was never used: afterwards objects of the application may hold it until the
 * process ends. */
static void asgi_free(struct asgi *asgi)
{
    asgi_scope_done(asgi);
    asgi_drain_done(asgi);
    Py_CLEAR(asgi->state);
    Py_CLEAR(asgi->cancelled_error);
    Py_CLEAR(asgi->gone_error);
    Py_CLEAR(asgi->seen_start);
    Py_CLEAR(asgi->seen_body);
    Py_CLEAR(asgi->app);
    free_list_clear(&asgi->receives);
    free_list_clear(&asgi->sends);
    free_list_clear(&asgi->steps);
    free_list_clear(&asgi->exchanges);
    awaitables_free(asgi->awaitables);
    names_done(&asgi->names);
    free(asgi);
}

static int asgi_init(struct asgi *asgi)
{
    if (names_init(&asgi->names) < 0 || channel_types_init(asgi) < 0 || asgi_http_init(asgi) < 0 ||
        asgi_ws_init(asgi) < 0 || asgi_lifespan_init(asgi) < 0 || asgi_drain_init(asgi) < 0)
        return -1;
    if (!(asgi->awaitables = awaitables_new()))
        return -1;
    if (!(asgi->cancelled_error = pyloop_cancelled(asgi->env.loop)))
        return -1;
    asgi->gone_error = PyErr_NewExceptionWithDoc(
        "tine.ClientDisconnected", "send() was called after the client had disconnected.", PyExc_ConnectionError, NULL);
    return asgi->gone_error ? 0 : -1;
}

static struct handler *open_version(const struct app_env *env, PyObject *object, const char *version)
{
    if (pyloop_runs_greenlets(env->loop)) {
        PyErr_SetString(
            PyExc_TypeError,
            "app.loop = gevent runs WSGI applications alone, and this one is ASGI: its coroutines need a loop "
            "of asyncio's, trio's or curio's. All applications of a worker share the loop: leave out "
            "app.loop, where WSGI runs in threads, or serve this one by another service");
        return NULL;
    }
    struct asgi *asgi = calloc(1, sizeof *asgi);
    if (!asgi) {
        PyErr_NoMemory();
        return NULL;
    }
    asgi->handler.ops = &asgi_handler_ops;
    asgi->env = *env;
    asgi->thread = pthread_self();
    asgi->has_checkpoints = pyloop_has_checkpoints(env->loop);
    asgi->version = version;
    asgi->app = Py_NewRef(object);
    pytasks_describe_by(env->tasks, asgi_describe_step);
    if (asgi_init(asgi) == 0)
        return &asgi->handler;
    PyObject *exception = pyerr_take();
    asgi_free(asgi);
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
    return NULL;
}

static struct handler *asgi_open(const struct app_env *env, PyObject *object)
{
    return open_version(env, object, "3.0");
}

static struct handler *asgi2_open(const struct app_env *env, PyObject *object)
{
    PyObject *wrapped = asgi2_wrap(object);
    struct handler *handler = wrapped ? open_version(env, wrapped, "2.0") : NULL;
    Py_XDECREF(wrapped);
    return handler;
}

/* What waits for startup; the scope's template is made when it is known whether there is a state. */
struct starting {
    struct asgi *asgi;
    void (*done)(void *arg, enum interface_start result, const char *why);
    void *arg;
};

static void on_started(void *arg, enum interface_start result, const char *why)
{
    struct starting s = *(struct starting *)arg;
    free(arg);
    if (result == INTERFACE_STARTED && asgi_scope_init(s.asgi) < 0) {
        pyerr_log(LOG_LEVEL_CRITICAL, "Cannot prepare the scope");
        result = INTERFACE_START_FAILED;
        why = "out of memory";
    }
    s.done(s.arg, result, why);
}

static void asgi_start(struct handler *h, void (*done)(void *, enum interface_start, const char *), void *arg)
{
    struct starting *s = malloc(sizeof *s);
    if (!s) {
        done(arg, INTERFACE_START_FAILED, "out of memory");
        return;
    }
    *s = (struct starting){ (struct asgi *)h, done, arg };
    asgi_lifespan_start((struct asgi *)h, on_started, s);
}

static void asgi_stop(struct handler *h, void (*done)(void *), void *arg)
{
    asgi_lifespan_stop((struct asgi *)h, done, arg);
}

static unsigned asgi_running(struct handler *h)
{
    struct asgi *asgi = (struct asgi *)h;
    return pytasks_running(asgi->env.tasks) - asgi_lifespan_running(asgi);
}

static void asgi_on_drain(struct handler *h, bool service_stops)
{
    asgi_drain((struct asgi *)h, service_stops);
}

static void asgi_cancel(struct handler *h)
{
    struct asgi *asgi = (struct asgi *)h;
    pytasks_cancel_all(asgi->env.tasks, (PyObject *)asgi->lifespan); /* whose shutdown comes later */
}

const struct interface_ops interface_asgi = {
    .name = "asgi",
    .open = asgi_open,
    .start = asgi_start,
    .stop = asgi_stop,
    .drain = asgi_on_drain,
    .running = asgi_running,
    .cancel = asgi_cancel,
};

const struct interface_ops interface_asgi2 = {
    .name = "asgi2",
    .open = asgi2_open,
    .start = asgi_start,
    .stop = asgi_stop,
    .drain = asgi_on_drain,
    .running = asgi_running,
    .cancel = asgi_cancel,
};
