/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_app.c: Python in a worker: interpreter, loop, applications, in the order in which they live
 * and die. */
#include <Python.h>
#include <config.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/app/app_load.h"
#include "worker/app/hooks.h"
#include "worker/app/mount.h"
#include "worker/net/accept.h"
#include "worker/python/fork_child.h"
#include "worker/python/interp.h"
#include "worker/python/loop.h"
#include "worker/python/loops/loop_ops.h"
#include "worker/python/pyerr.h"
#include "worker/python/refusal.h"
#include "worker/python/stacks.h"
#include "worker/python/task.h"
#include "worker/interfaces.h"
#include "worker/worker.h"

/* How often it is logged that the application has ended the loop. */
#define MAX_REPORTS 10
/* For threads of an application that did not start. */
#define GIVE_UP_MS 5000

struct worker_app {
    struct worker *worker;
    struct interp interp;
    /* On which the loop runs, if anything makes it run, while the application is imported: nothing of the server's can be
     * called by it then. NULL afterwards. */
    struct event_base *import_base;
    struct pyloop *loop;
    unsigned n_left; /* how often the application has ended the loop */
    struct pytasks *early; /* runs nothing: asyncio.current_task() is ours before the application imports it */
    struct mounts *mounts;
    PyObject *hooks; /* the module of app.hooks; NULL: none */
    struct step_watch *watch; /* NULL: not yet, not any more, or off */
    struct event refused_event; /* made active when something has refused before the application had started */
    char *refusal; /* then: what */
};

static void on_loop_turn(void *arg)
{
    struct worker_app *a = arg;
    struct worker *w = a->worker;
    atomic_store_explicit(&w->net.score->gil_wait_ns, pyloop_gil_wait(a->loop), memory_order_relaxed);
    w->events->turn(w);
}

/* The application may get the main interpreter instead of this one. */
static bool is_in_doubt(const struct worker_app *a)
{
    return a->interp.sub && a->worker->conf->app.interpreter == CONF_INTERPRETER_AUTO;
}

/* Takes the exception that is set: *ret has its traceback. `app`: the application that it comes from; NULL: none.
 * Returns -1. */
static int fail_with_exception(struct worker_app *a, struct worker_failure *ret, int status, const struct conf_app *app)
{
    PyObject *exception = pyerr_take();
    char label[160] = "", *module = NULL, *trace = pyerr_format(exception), *text = NULL;
    if (app)
        mounts_label(a->worker->conf, app, label, sizeof label);
    if (asprintf(&text, "%s%s", label, trace) < 0)
        text = NULL;
    char *refusal = is_in_doubt(a) ? refusal_so_far() : NULL;
    if (!refusal && is_in_doubt(a) && pyerr_refuses_subinterpreter(exception, &module))
        refusal = strdup(module ? module : trace);
    if (refusal)
        worker_failed(ret, WORKER_EXIT_NEED_MAIN, refusal);
    else
        worker_failed(ret, status, text ? text : trace);
    free(refusal);
    free(module);
    free(trace);
    free(text);
    Py_DECREF(exception);
    return -1;
}

/* 0, or -1 with an exception set. */
static int make_loop(struct worker_app *a, struct event_base *base)
{
    const struct conf_app *conf = &a->worker->conf->app;
    struct pyloop *loop = pyloop_new(&a->interp, loop_ops_of(conf->loop), conf->loop_factory, base);
    struct pytasks *early = loop ? pytasks_new(loop) : NULL;
    if (!early)
        return -1;
    pytasks_free(a->early);
    a->loop = loop;
    a->early = early;
    return 0;
}

static void on_exit_wanted(void *arg, const char *why)
{
    struct worker *w = ((struct worker_app *)arg)->worker;
    w->events->wants_successor(w, why);
}

static void on_threads_changed(void *arg)
{
    worker_app_count_threads(arg);
}

static struct app_env env_of(struct worker_app *a)
{
    struct worker *w = a->worker;
    return (struct app_env){ .conf = w->conf,
                             .interp = &a->interp,
                             .loop = a->loop,
                             .base = w->base,
                             .on_exit = on_exit_wanted,
                             .on_threads_changed = on_threads_changed,
                             .exit_arg = a,
                             .score = w->net.score };
}

/* Not for a mold. */
static void enable_stacks(struct worker_app *a)
{
    if (stacks_enable(a->worker->heritage->stacks_fd) < 0)
        pyerr_log(LOG_LEVEL_WARNING, "Cannot prepare stack dumps on SIGUSR2");
}

static int call_hook(const struct worker_app *a, enum ipc_hook_name name)
{
    return hooks_call(a->hooks, name, a->worker->heritage->slot + 1, getpid());
}

/* A mold has no worker yet: it is called after the fork. */
static int load_hooks(struct worker_app *a)
{
    const char *module = a->worker->conf->app.hooks;
    if (module && !(a->hooks = hooks_load(module)))
        return -1;
    return a->worker->events ? call_hook(a, IPC_HOOK_POST_FORK) : 0;
}

/* Runs the applications' modules, with the loop that they may run; in a mold only with our own, since what a foreign one
 * has opened cannot be divided between the processes of a fork. 0, or -1 and *ret says why. */
static int import_apps(struct worker_app *a, bool in_mold, struct worker_failure *ret)
{
    const struct conf_app *failed = NULL;
    bool later = in_mold && a->worker->conf->app.loop != CONF_LOOP_TINE;
    if (!(a->import_base = worker_base_new()))
        return worker_failed(ret, WORKER_EXIT_BOOT, "no event base can be made");
    const char *logconfig = a->worker->conf->log.logconfig;
    bool made = (!logconfig || app_configure_logging(logconfig) == 0) && (later || make_loop(a, a->import_base) == 0);
    if (made && load_hooks(a) < 0)
        return fail_with_exception(a, ret, WORKER_EXIT_APP, NULL);
    if (made)
        a->mounts = mounts_import(interfaces, a->worker->conf, &failed);
    if (a->mounts)
        return 0;
    return fail_with_exception(a, ret, made ? WORKER_EXIT_APP : WORKER_EXIT_BOOT, failed);
}

/* Moves the loop to the worker's base, with what the modules have scheduled on it. One that they closed is replaced;
 * one that a thread of theirs runs is left to them, with its base. 0, or -1 with an exception set. */
static int take_loop(struct worker_app *a)
{
    struct event_base *old = a->import_base;
    bool is_ours = a->loop && pyloop_is_whole(a->loop);
    struct pyloop *theirs = is_ours ? NULL : a->loop;
    a->import_base = NULL;
    if ((is_ours ? pyloop_move(a->loop, a->worker->base) : make_loop(a, a->worker->base)) < 0)
        return -1;
    if (!theirs || !pyloop_is_open(theirs))
        event_base_free(old);
    Py_XDECREF(theirs);
    return pyloop_settle(a->loop);
}

/* In a turn of its own, outside of the application. */
static void on_refused(evutil_socket_t fd, short what, void *arg)
{
    struct worker_app *a = arg;
    pyloop_enter(a->loop);
    a->worker->events->needs_main(a->worker, a->refusal);
}

/* Greenlets that wait are on no thread's stack: the loop writes theirs after those of threads. */
static void add_greenlets_to_stacks(struct worker_app *a)
{
    if (!pyloop_runs_greenlets(a->loop))
        return;
    PyObject *fd = PyObject_CallMethod(pyloop_host(a->loop), "write_stacks_to", "i", a->worker->heritage->stacks_fd);
    if (fd)
        stacks_then((int)PyLong_AsLong(fd));
    else
        pyerr_log(LOG_LEVEL_WARNING, "Stack dumps on SIGUSR2 show no greenlets");
    Py_XDECREF(fd);
}

/* The applications are imported: from here on they belong to this worker. 0, or -1 and *ret says why. */
static int open_apps(struct worker_app *a, struct worker_failure *ret)
{
    const struct conf_app *failed = NULL;
    if (take_loop(a) == 0) {
        struct app_env env = env_of(a);
        evtimer_assign(&a->refused_event, a->worker->base, on_refused, a);
        pyloop_add_turn_hook(a->loop, on_loop_turn, a);
        pytasks_gather(a->loop, &(struct pytasks_gather){ net_gather, net_leave, net_is_full, &a->worker->net });
        add_greenlets_to_stacks(a);
        if (mounts_open(a->mounts, &env, &failed) == 0)
            return 0;
    }
    return fail_with_exception(a, ret, failed ? WORKER_EXIT_APP : WORKER_EXIT_BOOT, failed);
}

bool worker_app_is_needed(const struct conf *conf)
{
    return mounts_any_python(conf);
}

/* 0, or -1 and *ret says why. */
static int start_python(struct worker *w, struct worker_app **ret_app, struct worker_failure *ret)
{
    struct worker_app *a = calloc(1, sizeof *a);
    if (!a)
        return worker_failed(ret, WORKER_EXIT_BOOT, "out of memory");
    a->worker = w;
    char *why = NULL;
    if (interp_start(&a->interp, &w->conf->app, w->heritage->main_interpreter, &why) == 0) {
        *ret_app = a;
        return 0;
    }
    worker_failed(ret, WORKER_EXIT_BOOT, why ? why : "cannot start Python");
    free(why);
    free(a);
    return -1;
}

void worker_app_give_up(struct worker_app *a)
{
    if (!a)
        return;
    interp_stop(&a->interp, GIVE_UP_MS);
    free(a);
}

int worker_app_new(struct worker *w, struct worker_app **ret_app, struct worker_failure *ret)
{
    *ret_app = NULL;
    if (start_python(w, ret_app, ret) < 0)
        return -1;
    enable_stacks(*ret_app); /* an import may hang */
    return import_apps(*ret_app, false, ret) < 0 ? -1 : open_apps(*ret_app, ret);
}

/* --- by way of a mold --- */

int worker_app_cast(struct worker *w, struct worker_app **ret_app, struct worker_failure *ret)
{
    *ret_app = NULL;
    if (start_python(w, ret_app, ret) < 0)
        return -1;
    if (stacks_enable(log_fd()) < 0) /* it has no pipe for them */
        pyerr_log(LOG_LEVEL_WARNING, "Cannot prepare stack dumps on SIGUSR2");
    int r = import_apps(*ret_app, true, ret);
    stacks_disable(); /* its workers have their own */
    return r;
}

int worker_app_adopt(struct worker_app *a, struct worker *w, struct worker_failure *ret)
{
    a->worker = w;
    /* It shares its descriptors with the mold until it is initialised again. */
    if (event_reinit(a->import_base) < 0)
        return worker_failed(ret, WORKER_EXIT_BOOT, "no event loop after the fork");
    enable_stacks(a);
    if (call_hook(a, IPC_HOOK_POST_FORK) < 0)
        return fail_with_exception(a, ret, WORKER_EXIT_APP, NULL);
    return open_apps(a, ret);
}

void worker_app_add_descriptors(struct worker_app *a, struct descriptors *d)
{
    int fds[PYLOOP_FDS];
    pyloop_descriptors(a->loop, fds);
    for (size_t i = 0; i < PYLOOP_FDS; i++)
        descriptors_add(d, fds[i], "what wakes the event loop");
}

struct handler *worker_app_handler(struct worker_app *a, const struct conf_app *app)
{
    return mounts_handler(a->mounts, app);
}

/* The application has started, but something that it loaded does not work here. */
static bool refuses_to_start(struct worker_app *a)
{
    char *refusal = a->interp.sub ? refusal_at_ready() : NULL;
    if (!refusal)
        return false;
    if (is_in_doubt(a)) {
        a->refusal = refusal;
        event_active(&a->refused_event, EV_TIMEOUT, 1);
        return true;
    }
    log_warning("something refuses sub-interpreters (%s), and the application goes on without it: set \"interpreter = "
                "main\" in section [app]",
                refusal);
    free(refusal);
    return false;
}

static void report_failed_start(struct worker_app *a, enum interface_start result, const char *why)
{
    struct worker *w = a->worker;
    char *refusal = is_in_doubt(a) ? refusal_so_far() : NULL;
    if (refusal || (is_in_doubt(a) && result == INTERFACE_START_NEEDS_MAIN))
        w->events->start_failed(w, WORKER_EXIT_NEED_MAIN, refusal ? refusal : why);
    else
        w->events->start_failed(w, WORKER_EXIT_BOOT, why);
    free(refusal);
}

void worker_app_look_at_refusals(struct worker_app *a)
{
    const char *refusal = is_in_doubt(a) ? refusal_late(&a->interp) : NULL;
    if (refusal)
        a->worker->events->needs_main(a->worker, refusal);
}

static void on_mounts_started(void *arg, enum interface_start result, const char *why)
{
    struct worker_app *a = arg;
    struct worker *w = a->worker;
    if (w->state != WORKER_BOOTING) /* asked to stop meanwhile: no failure to report */
        return;
    if (result == INTERFACE_STARTED && !refuses_to_start(a)) {
        hooks_log(IPC_HOOK_WHEN_READY, call_hook(a, IPC_HOOK_WHEN_READY));
        worker_report_environment(a->worker, &a->interp);
        worker_report_loop(a->worker, &a->interp, a->loop);
        a->watch = worker_steps_watch(w, a->loop);
        if (w->conf->app.gc_freeze)
            worker_freeze();
        w->events->started(w);
    } else if (result != INTERFACE_STARTED) {
        report_failed_start(a, result, why);
    }
}

void worker_app_start(struct worker_app *a)
{
    pyloop_enter(a->loop);
    mounts_start(a->mounts, on_mounts_started, a);
}

/* --- running --- */

/* What the application has ended the loop by: an exception, taken; NULL: stop(). */
static void report_left(struct worker_app *a, PyObject *exception)
{
    static const char ends[] = "the worker finishes its requests and ends";
    char first[120];
    if (++a->n_left > MAX_REPORTS) /* a callback that does it again and again while the worker drains */
        return;
    snprintf(first, sizeof first, "The application has ended the event loop: %s", ends);
    if (exception)
        pyerr_log_exception(LOG_LEVEL_CRITICAL, first, exception);
    else
        log_critical("The application has stopped the event loop (loop.stop(), or the nursery of requests): %s", ends);
}

static void loop_left(struct worker_app *a, PyObject *exception)
{
    struct worker *w = a->worker;
    if (w->state != WORKER_BOOTING) /* then the master logs it */
        report_left(a, exception);
    char *text = exception ? pyerr_format(exception) : NULL;
    w->events->loop_left(w, text ? text : "the application has stopped the event loop while it started");
    free(text);
}

/* The exception that is set leaves a loop that can be run again. */
static bool is_exit(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

int worker_app_run(struct worker_app *a)
{
    struct worker *w = a->worker;
    while (w->state != WORKER_DONE) {
        bool raised = pyloop_run(a->loop) < 0;
        fork_child_came_back(NULL, false);
        if (raised && !is_exit()) {
            pyerr_log(LOG_LEVEL_CRITICAL, "The event loop cannot go on");
            return -1;
        }
        PyObject *exception = raised ? pyerr_take() : NULL;
        if (exception || w->state != WORKER_DONE)
            loop_left(a, exception);
        Py_XDECREF(exception);
    }
    return 0;
}

unsigned worker_app_running(struct worker_app *a)
{
    return mounts_running(a->mounts);
}

void worker_app_count_threads(struct worker_app *a)
{
    struct worker *w = a->worker;
    struct score *score = w->net.score;
    struct interface_threads threads;
    mounts_count_threads(a->mounts, &threads);
    atomic_store_explicit(&score->threads, threads.most, memory_order_relaxed);
    atomic_store_explicit(&score->threads_busy, threads.busy, memory_order_relaxed);
    atomic_store_explicit(&score->threads_lost, threads.lost, memory_order_relaxed);
    atomic_store_explicit(&score->stalled, threads.room != ROOM_FREE, memory_order_relaxed);
    if (w->state == WORKER_SERVING)
        acceptor_hold(w->acceptor, threads.room == ROOM_LOST);
}

void worker_app_drain(struct worker_app *a, bool service_stops)
{
    pyloop_enter(a->loop);
    mounts_drain(a->mounts, service_stops);
}

void worker_app_write_tasks(struct worker_app *a, int fd)
{
    pyloop_enter(a->loop);
    if (mounts_write_tasks(a->mounts, pyloop_object(a->loop), pyloop_host(a->loop), fd) < 0)
        pyerr_log(LOG_LEVEL_ERROR, "The tasks cannot be listed");
}

void worker_app_hook(struct worker_app *a, const struct ipc_hook *hook)
{
    pyloop_enter(a->loop);
    hooks_log(hook->name, hooks_call(a->hooks, hook->name, hook->number, hook->pid));
}

void worker_app_cancel(struct worker_app *a)
{
    pyloop_enter(a->loop);
    mounts_cancel(a->mounts);
}

static void on_mounts_stopped(void *arg)
{
    struct worker_app *a = arg;
    hooks_log(IPC_HOOK_WORKER_EXIT, call_hook(a, IPC_HOOK_WORKER_EXIT));
    a->worker->events->stopped(a->worker);
}

/* Startup and shutdown may take their time. */
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
    mounts_stop(a->mounts, on_mounts_stopped, a);
}

void worker_app_end(struct worker_app *a)
{
    pyloop_stop(a->loop);
}

void worker_app_free(struct worker_app *a, uint64_t ms)
{
    unwatch(a);
    mounts_close(a->mounts);
    pytasks_close(a->early);
    evtimer_del(&a->refused_event);
    uint64_t end = clock_ms() + ms;
    pyloop_free(a->loop, ms);
    uint64_t now = clock_ms();
    interp_stop(&a->interp, now < end ? end - now : 0);
    pytasks_free(a->early);
    mounts_free(a->mounts);
    free(a->refusal);
    free(a);
}
