/* worker_app.c: Python in a worker: interpreter, loop, application, in the order in which they live
 * and die. */
#include <Python.h>
#include <stdlib.h>

#include "common/log.h"
#include "conf/conf.h"
#include "worker/app/app_load.h"
#include "worker/app/interface.h"
#include "worker/http/h1_parse.h"
#include "worker/python/interp.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/stacks.h"
#include "worker/python/task.h"
#include "worker/worker.h"

struct worker_app {
    struct worker *worker;
    struct interp interp;
    struct app_env env;
    struct pytasks
        *early; /* runs nothing: asyncio.current_task() is ours before the application imports it */
    const struct interface_ops *interface;
    struct handler *handler;
};

static void on_turn(void *arg)
{
    worker_turn(arg);
}

/* Takes the exception that is set, tells the master. */
static void fail_with_exception(struct worker_app *a, int status)
{
    PyObject *exception = pyerr_take();
    char *module = NULL, *text = pyerr_format(exception);
    bool retry = a->worker->conf->app.interpreter == CONF_INTERPRETER_AUTO && a->interp.sub &&
                 pyerr_refuses_subinterpreter(exception, &module);
    if (retry)
        worker_fail(a->worker, WORKER_EXIT_NEED_MAIN, module ? module : text);
    else
        worker_fail(a->worker, status, text);
    free(module);
    free(text);
    Py_DECREF(exception);
}

static int load(struct worker_app *a)
{
    a->env.base = a->worker->base;
    a->env.loop = pyloop_new(&a->interp, a->worker->base);
    if (!a->env.loop) {
        fail_with_exception(a, WORKER_EXIT_BOOT);
        return -1;
    }
    pyloop_add_turn_hook(a->env.loop, on_turn, a->worker);
    a->early = pytasks_new(a->env.loop);
    if (!a->early) {
        fail_with_exception(a, WORKER_EXIT_BOOT);
        return -1;
    }
    PyObject *object = app_load(a->env.app, &a->interface);
    if (object && (a->env.tasks =
                       pytasks_new(a->env.loop))) /* requests see what modules set in the context */
        a->handler = a->interface->open(&a->env, object);
    Py_XDECREF(object);
    if (a->handler)
        return 0;
    fail_with_exception(a, WORKER_EXIT_APP);
    return -1;
}

struct worker_app *worker_app_new(struct worker *w)
{
    const struct conf_app *conf = &w->conf->app;
    struct worker_app *a = calloc(1, sizeof *a);
    if (!a) {
        worker_fail(w, WORKER_EXIT_BOOT, "out of memory");
        return NULL;
    }
    a->worker = w;
    a->env = (struct app_env){ .conf = w->conf, .app = conf, .interp = &a->interp };
    bool in_main = conf->interpreter == CONF_INTERPRETER_MAIN ||
                   (conf->interpreter == CONF_INTERPRETER_AUTO && w->heritage->main_interpreter);
    char *why = NULL;
    if (interp_start(&a->interp, conf, in_main, &why) < 0) {
        worker_fail(w, WORKER_EXIT_BOOT, why ? why : "cannot start Python");
        free(why);
        free(a);
        return NULL;
    }
    if (stacks_enable(w->heritage->stacks_fd) < 0)
        pyerr_log(LOG_LEVEL_WARNING, "Cannot prepare stack dumps on SIGUSR2");
    if (load(a) < 0) {
        interp_stop(&a->interp);
        free(a);
        return NULL;
    }
    return a;
}

struct handler *worker_app_handler(struct worker_app *a)
{
    return a->handler;
}

static void on_started(void *arg, enum interface_start result, const char *why)
{
    struct worker_app *a = arg;
    if (a->worker->state != WORKER_BOOTING) /* told to stop meanwhile: no failure to report */
        return;
    switch (result) {
    case INTERFACE_STARTED:
        worker_serve(a->worker);
        return;
    case INTERFACE_START_NEEDS_MAIN:
        if (a->worker->conf->app.interpreter == CONF_INTERPRETER_AUTO) {
            worker_fail(a->worker, WORKER_EXIT_NEED_MAIN, why);
            return;
        }
        break;
    case INTERFACE_START_FAILED:
        break;
    }
    worker_fail(a->worker, WORKER_EXIT_BOOT, why);
}

void worker_app_start(struct worker_app *a)
{
    pyloop_enter(a->env.loop);
    a->interface->start(a->handler, on_started, a);
}

void worker_app_run(struct worker_app *a)
{
    if (pyloop_run(a->env.loop) < 0) {
        pyerr_log(LOG_LEVEL_CRITICAL, "The event loop was stopped by an exception");
        a->worker->exit_status = WORKER_EXIT_BOOT;
    }
}

unsigned worker_app_running(struct worker_app *a)
{
    return a->interface->running(a->handler);
}

void worker_app_cancel(struct worker_app *a)
{
    pyloop_enter(a->env.loop);
    a->interface->cancel(a->handler);
}

static void on_stopped(void *arg)
{
    worker_stopped(((struct worker_app *)arg)->worker);
}

void worker_app_stop(struct worker_app *a)
{
    pyloop_enter(a->env.loop);
    a->interface->stop(a->handler, on_stopped, a);
}

void worker_app_end(struct worker_app *a)
{
    pyloop_stop(a->env.loop);
}

void worker_app_free(struct worker_app *a)
{
    pytasks_free(a->env.tasks);
    pytasks_free(a->early);
    pyloop_free(a->env.loop);
    interp_stop(&a->interp);
    free(a);
}

void worker_print_versions(FILE *out)
{
    const char *runs_with =
        Py_GetVersion(); /* "3.11.2 (main, ...)": static, needs no interpreter */
    fprintf(out, "http-parser %s\nPython %.*s (built with %s)\n", h1_parse_version(),
            (int)strcspn(runs_with, " "), runs_with, PY_VERSION);
}
