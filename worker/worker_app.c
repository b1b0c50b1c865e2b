/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_app.c: Python in a worker: interpreter, loop, applications, in the order in which they live
 * and die. */
#include <Python.h>
#include <config.h>
#include <event2/event.h>
#include <stdlib.h>

#include "common/log.h"
#include "conf/conf.h"
#include "worker/app/mount.h"
#include "worker/coding/compress_codec.h"
#include "worker/http1/h1_parse.h"
#include "worker/http2/h2_conn.h"
#include "worker/tls/tls.h"
#include "worker/python/fork_child.h"
#include "worker/python/interp.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/stacks.h"
#include "worker/python/task.h"
#include "worker/interfaces.h"
#include "worker/worker.h"

struct worker_app {
    struct worker *worker;
    struct interp interp;
    struct pyloop *loop;
    struct pytasks *early; /* runs nothing: asyncio.current_task() is ours before the application imports it */
    struct mounts *mounts;
    struct step_watch *watch; /* NULL: not yet, not any more, or off */
};

static void on_turn(void *arg)
{
    worker_turn(arg);
}

/* Takes the exception that is set, tells the master. `app`: the application that it comes from; NULL: none. */
static void fail_with_exception(struct worker_app *a, int status, const struct conf_app *app)
{
    PyObject *exception = pyerr_take();
    char label[160] = "", *module = NULL, *trace = pyerr_format(exception), *text = NULL;
    if (app)
        mounts_label(a->worker->conf, app, label, sizeof label);
    if (asprintf(&text, "%s%s", label, trace) < 0)
        text = NULL;
    bool retry = a->worker->conf->app.interpreter == CONF_INTERPRETER_AUTO && a->interp.sub &&
                 pyerr_refuses_subinterpreter(exception, &module);
    if (retry)
        worker_fail(a->worker, WORKER_EXIT_NEED_MAIN, module ? module : trace);
    else
        worker_fail(a->worker, status, text ? text : trace);
    free(module);
    free(trace);
    free(text);
    Py_DECREF(exception);
}

/* The loop on the worker's base. */
static int make_loop(struct worker_app *a)
{
    a->loop = pyloop_new(&a->interp, a->worker->base);
    a->early = a->loop ? pytasks_new(a->loop) : NULL;
    if (a->early)
        return 0;
    fail_with_exception(a, WORKER_EXIT_BOOT, NULL);
    return -1;
}

static struct app_env env_of(struct worker_app *a)
{
    struct worker *w = a->worker;
    return (struct app_env){ .conf = w->conf, .interp = &a->interp, .loop = a->loop, .base = w->base };
}

/* Not for a mold. */
static void become_worker(struct worker_app *a)
{
    if (stacks_enable(a->worker->heritage->stacks_fd) < 0)
        pyerr_log(LOG_LEVEL_WARNING, "Cannot prepare stack dumps on SIGUSR2");
    pyloop_add_turn_hook(a->loop, on_turn, a->worker);
}

static int load(struct worker_app *a)
{
    const struct conf_app *failed = NULL;
    struct app_env env = env_of(a);
    a->mounts = mounts_load(interfaces, &env, &failed);
    if (a->mounts)
        return 0;
    fail_with_exception(a, WORKER_EXIT_APP, failed);
    return -1;
}

static int import(struct worker_app *a)
{
    const struct conf_app *failed = NULL;
    a->mounts = mounts_import(interfaces, a->worker->conf, &failed);
    if (a->mounts)
        return 0;
    fail_with_exception(a, WORKER_EXIT_APP, failed);
    return -1;
}

bool worker_app_is_needed(const struct conf *conf)
{
    return mounts_any_python(conf);
}

/* Python is started. NULL: worker_fail() was called. */
static struct worker_app *start_python(struct worker *w)
{
    const struct conf_app *conf = &w->conf->app;
    struct worker_app *a = calloc(1, sizeof *a);
    if (!a) {
        worker_fail(w, WORKER_EXIT_BOOT, "out of memory");
        return NULL;
    }
    a->worker = w;
    bool in_main = conf->interpreter == CONF_INTERPRETER_MAIN ||
                   (conf->interpreter == CONF_INTERPRETER_AUTO && w->heritage->main_interpreter);
    char *why = NULL;
    if (interp_start(&a->interp, conf, in_main, &why) == 0)
        return a;
    worker_fail(w, WORKER_EXIT_BOOT, why ? why : "cannot start Python");
    free(why);
    free(a);
    return NULL;
}

static struct worker_app *give_up(struct worker_app *a)
{
    interp_stop(&a->interp);
    free(a);
    return NULL;
}

struct worker_app *worker_app_new(struct worker *w)
{
    struct worker_app *a = start_python(w);
    if (!a)
        return NULL;
    if (make_loop(a) < 0)
        return give_up(a);
    become_worker(a);
    return load(a) == 0 ? a : give_up(a);
}

/* --- by way of a mold --- */

struct worker_app *worker_app_cast(struct worker *w)
{
    struct worker_app *a = start_python(w);
    if (!a || (make_loop(a) == 0 && import(a) == 0))
        return a;
    return give_up(a);
}

struct worker_app *worker_app_adopt(struct worker_app *a, struct worker *w)
{
    const struct conf_app *failed = NULL;
    struct event_base *molds = a->worker->base;
    a->worker = w;
    struct app_env env = env_of(a);
    /* It shares its descriptors with the mold until it is initialised again. */
    if (event_reinit(molds) < 0) {
        worker_fail(w, WORKER_EXIT_BOOT, "no event loop after the fork");
        return give_up(a);
    }
    become_worker(a);
    if (pyloop_move(a->loop, w->base) == 0 && mounts_open(a->mounts, &env, &failed) == 0) {
        event_base_free(molds);
        return a;
    }
    fail_with_exception(a, failed ? WORKER_EXIT_APP : WORKER_EXIT_BOOT, failed);
    return give_up(a);
}

struct handler *worker_app_handler(struct worker_app *a, const struct conf_app *app)
{
    return mounts_handler(a->mounts, app);
}

static void on_started(void *arg, enum interface_start result, const char *why)
{
    struct worker_app *a = arg;
    if (a->worker->state != WORKER_BOOTING) /* told to stop meanwhile: no failure to report */
        return;
    switch (result) {
    case INTERFACE_STARTED:
        a->watch = worker_steps_watch(a->worker, a->loop);
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
    pyloop_enter(a->loop);
    mounts_start(a->mounts, on_started, a);
}

void worker_app_run(struct worker_app *a)
{
    int result = pyloop_run(a->loop);
    fork_child_came_back(NULL, false);
    if (result < 0) {
        pyerr_log(LOG_LEVEL_CRITICAL, "The event loop was stopped by an exception");
        a->worker->exit_status = WORKER_EXIT_BOOT;
    }
}

unsigned worker_app_running(struct worker_app *a)
{
    return mounts_running(a->mounts);
}

void worker_app_cancel(struct worker_app *a)
{
    pyloop_enter(a->loop);
    mounts_cancel(a->mounts);
}

static void on_stopped(void *arg)
{
    worker_stopped(((struct worker_app *)arg)->worker);
}

/* Start-up and shut-down may take their time. */
static void unwatch(struct worker_app *a)
{
    if (a->watch)
        worker_steps_unwatch(a->watch, a->loop);
    a->watch = NULL;
}

void worker_app_stop(struct worker_app *a)
{
    unwatch(a);
    pyloop_enter(a->loop);
    mounts_stop(a->mounts, on_stopped, a);
}

void worker_app_end(struct worker_app *a)
{
    pyloop_stop(a->loop);
}

void worker_app_free(struct worker_app *a)
{
    unwatch(a);
    mounts_free(a->mounts);
    pytasks_free(a->early);
    pyloop_free(a->loop);
    interp_stop(&a->interp);
    free(a);
}

void worker_print_versions(FILE *out)
{
    const char *runs_with = Py_GetVersion(); /* "3.11.2 (main, ...)": static, needs no interpreter */
    tls_print_version(out);
#if TINE_HTTP2
    fprintf(out, "nghttp2 %s\n", h2_version());
#endif
    fprintf(out, "http-parser %s\nPython %.*s (built with %s)\n", h1_parse_version(), (int)strcspn(runs_with, " "),
            runs_with, PY_VERSION);
    for (int c = CODING_GZIP; c < N_CODINGS; c++) {
        const struct codec *codec = codec_of((enum coding)c);
        char version[32];
        if (!codec)
            continue;
        codec->version(version, sizeof version);
        fprintf(out, "%s %s\n", codec->library, version);
    }
}
