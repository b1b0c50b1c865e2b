/* SPDX-License-Identifier: BSD-3-Clause */
/* loop.c: the loop as the rest of the worker sees it (loop.h). */
#include "worker/python/loop.h"

#include "common/fatal.h"
#include "common/forked.h"
#include "common/likely.h"
#include "worker/python/coro.h"
#include "worker/python/interp.h"
#include "worker/python/loop_handle.h"
#include "worker/python/loop_host.h"
#include "worker/python/loop_priv.h"
#include "worker/python/loops/loop_ops.h"
#include "worker/python/pyerr.h"
#include "worker/python/step_watch.h"

static int set_event_loop(PyObject *loop)
{
    PyObject *events = PyImport_ImportModule("asyncio.events");
    PyObject *r = events ? PyObject_CallMethod(events, "set_event_loop", "O", loop) : NULL;
    Py_XDECREF(events);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

int pyloop_settle(struct pyloop *loop)
{
    loop->home = PyThread_get_thread_ident();
    loop->stopping = 0;
    if (!loop->guest)
        return set_event_loop((PyObject *)loop);
    if (loop->guest->asyncio && set_event_loop(loop->guest->asyncio) < 0)
        return -1;
    return guest_attach(loop->guest, loop->base);
}

void pyloop_descriptors(const struct pyloop *loop, int fds[PYLOOP_FDS])
{
    fds[0] = loop->guest ? loop->guest->epoll : loop->wake.fd;
    fds[1] = loop->guest ? loop->guest->timer : loop->timers.fd;
}

static struct pyloop *new_own(struct pystate *st, struct event_base *base)
{
    PyObject *capsule = PyCapsule_New(base, LOOP_BASE_CAPSULE, NULL);
    PyObject *loop = capsule ? PyObject_CallOneArg(st->loop_class, capsule) : NULL;
    Py_XDECREF(capsule);
    return (struct pyloop *)loop;
}

static struct pyloop *new_guest(struct pystate *st, const struct loop_ops *ops, const char *factory,
                                struct event_base *base)
{
    struct pyloop *loop = (struct pyloop *)PyObject_CallNoArgs((PyObject *)st->base_type);
    if (!loop)
        return NULL;
    loop->base = base;
    loop->depth = forked_depth;
    PyObject *host = loop_host_new(ops, factory);
    loop->guest = host ? guest_new(ops, host) : NULL;
    if (!loop->guest)
        Py_CLEAR(loop);
    return loop;
}

struct pyloop *pyloop_new(const struct interp *interp, const struct loop_ops *ops, const char *factory,
                          struct event_base *base)
{
    PyObject *module;
    struct pystate *st = pystate_import(&module);
    if (!st)
        return NULL;
    struct pyloop *loop = ops->source ? new_guest(st, ops, factory, base) : new_own(st, base);
    Py_DECREF(module);
    if (loop && pyloop_object(loop) != Py_None && set_event_loop(pyloop_object(loop)))
        Py_CLEAR(loop);
    if (loop)
        loop->idle_states = interp->idle_states;
    return loop;
}

void pyloop_free(struct pyloop *loop, uint64_t ms)
{
    if (!loop)
        return;
    PyObject *r = loop->guest ? PyObject_CallMethod(loop->guest->host, "shutdown", "d", (double)ms / 1000.0)
                              : PyObject_CallMethod((PyObject *)loop, "_shutdown", "d", (double)ms / 1000.0);
    if (!r)
        PyErr_WriteUnraisable((PyObject *)loop);
    Py_XDECREF(r);
    if (loop->guest)
        guest_detach(loop->guest);
    loop_release_base(loop); /* the base is about to go, whatever Python said */
    Py_DECREF((PyObject *)loop);
}

PyObject *pyloop_host(const struct pyloop *loop)
{
    return loop->guest ? loop->guest->host : NULL;
}

void pyloop_version(const struct pyloop *loop, char *to, size_t size)
{
    PyObject *version = loop->guest ? PyObject_GetAttrString(loop->guest->host, "version") : NULL;
    const char *text = version && PyUnicode_Check(version) ? PyUnicode_AsUTF8(version) : NULL;
    snprintf(to, size, "%s", text ? text : "");
    Py_XDECREF(version);
    PyErr_Clear();
}

const struct loop_ops *pyloop_ops(const struct pyloop *loop)
{
    return loop->guest ? loop->guest->ops : loop_ops_of(CONF_LOOP_TINE);
}

void pyloop_touched(struct pyloop *loop)
{
    if (guest_needs_telling(loop->guest))
        guest_tell(loop->guest);
}

/* Another loop says nothing of the steps that the application's own tasks take on it: whether it turns is asked of it. */
static void watch_turns(struct pyloop *loop, struct step_watch *watch)
{
    int fd = watch ? step_watch_ask(watch) : -1;
    if ((watch && fd < 0) || guest_hear(loop->guest, loop->base, fd) < 0)
        log_warning("app.blocking_warning sees the steps of requests alone: %s", strerror(errno));
}

/* Greenlets are stepped by no turn: their host notes where it switches (_step_begins(), _step_ends()). */
void pyloop_watch_steps(struct pyloop *loop, struct step_watch *watch)
{
    loop->step_watch = watch;
    if (!pyloop_runs_greenlets(loop)) {
        if (loop->guest)
            watch_turns(loop, watch);
        return;
    }
    PyObject *r = PyObject_CallMethod(loop->guest->host, "watch_steps", "O", watch ? (PyObject *)loop : Py_None);
    if (!r)
        pyerr_log(LOG_LEVEL_WARNING, "app.blocking_warning sees no greenlets");
    Py_XDECREF(r);
}

void pyloop_add_turn_hook(struct pyloop *loop, void (*hook)(void *arg), void *arg)
{
    fatal_unless(loop->n_hooks < LOOP_HOOKS);
    loop->hooks[loop->n_hooks].run = hook;
    loop->hooks[loop->n_hooks++].arg = arg;
}

/* True: it was one that has been dealt with, and is cleared. */
static bool was_forgiven(struct pyloop *loop)
{
    PyObject *forgiven = loop->forgiven;
    loop->forgiven = NULL;
    if (!forgiven)
        return false;
    PyObject *exception = pyerr_take();
    bool same = exception == forgiven;
    Py_DECREF(forgiven);
    if (same)
        Py_DECREF(exception);
    else
        coro_restore(exception);
    return same;
}

static int run_host(struct pyloop *loop)
{
    PyObject *turn = PyObject_GetAttr((PyObject *)loop, loop->st->name__turn);
    if (!turn)
        return -1;
    int r;
    do
        r = guest_run(loop->guest, turn);
    while (r < 0 && was_forgiven(loop));
    Py_CLEAR(loop->forgiven);
    Py_DECREF(turn);
    return r;
}

int pyloop_run(struct pyloop *loop)
{
    if (loop->guest)
        return run_host(loop);
    PyObject *r = PyObject_CallMethodNoArgs((PyObject *)loop, loop->st->name__serve);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

void pyloop_stop(struct pyloop *loop)
{
    loop->stopping = 1;
    pyloop_touched(loop);
}

void pyloop_forgive(struct pyloop *loop, PyObject *exception)
{
    Py_XSETREF(loop->forgiven, Py_NewRef(exception));
}

int pyloop_call_soon(struct pyloop *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n)
{
    if (loop_check_closed(loop))
        return -1;
    PyObject *handle = loop_handle_new(loop, NULL, callback, args, n, NULL);
    return handle ? ready_push(loop, handle) : -1;
}

void pyloop_capture_begin(struct pyloop *loop, PyObject *context)
{
    loop->capture_context = context;
}

PyObject *pyloop_capture_end(struct pyloop *loop)
{
    PyObject *callback = loop->captured;
    loop->capture_context = NULL;
    loop->captured = NULL;
    return callback;
}

/* Asked of a loop that is not ours; an exception counts as yes. */
static bool host_makes_tasks(PyObject *asyncio, const struct pystate *st)
{
    PyObject *debug = PyObject_CallMethodNoArgs(asyncio, st->name_get_debug);
    PyObject *factory = debug ? PyObject_CallMethodNoArgs(asyncio, st->name_get_task_factory) : NULL;
    bool makes = debug != Py_False || factory != Py_None;
    if (!factory)
        PyErr_Clear();
    Py_XDECREF(debug);
    Py_XDECREF(factory);
    return makes;
}

bool pyloop_plain_tasks(struct pyloop *loop)
{
    if (unlikely(loop->guest))
        return !loop->guest->asyncio || host_makes_tasks(loop->guest->asyncio, loop->st);
    return loop->debug || (loop->task_factory && loop->task_factory != Py_None);
}

PyObject *pyloop_future(struct pyloop *loop)
{
    PyObject *self = pyloop_object(loop);
    if (unlikely(self == Py_None))
        return PyObject_CallMethodNoArgs(loop->guest->host, loop->st->name_waiter);
    return PyObject_Vectorcall(loop->st->future_type, &self, 0, loop->st->future_kwnames);
}

bool pyloop_runs_greenlets(const struct pyloop *loop)
{
    return pyloop_ops(loop)->style == LOOP_GREENLETS;
}

bool pyloop_has_checkpoints(const struct pyloop *loop)
{
    return loop->guest && loop->guest->ops->style == LOOP_TASKS;
}

PyObject *pyloop_checkpoint(struct pyloop *loop)
{
    return PyObject_CallMethodNoArgs(loop->guest->host, loop->st->name_checkpoint);
}

PyObject *pyloop_cancelled(struct pyloop *loop)
{
    if (loop->guest && !loop->guest->asyncio)
        return PyObject_GetAttrString(loop->guest->host, "cancelled");
    PyObject *exceptions = PyImport_ImportModule("asyncio.exceptions");
    PyObject *cancelled = exceptions ? PyObject_GetAttrString(exceptions, "CancelledError") : NULL;
    Py_XDECREF(exceptions);
    return cancelled;
}

PyObject *pyloop_hand_over(struct pyloop *loop, PyObject *callable, PyObject *argument)
{
    PyObject *life = loop->guest ? loop->guest->host : (PyObject *)loop;
    PyObject *name = loop->guest ? loop->st->name_hand_over : loop->st->name__hand_over;
    return PyObject_CallMethodObjArgs(life, name, callable, argument, NULL);
}

bool pyloop_future_done(PyObject *future)
{
    PyObject *done = PyObject_CallMethod(future, "done", NULL);
    int is_done = done ? PyObject_IsTrue(done) : -1;
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(future);
    Py_XDECREF(done);
    return is_done != 0;
}

/* The future may have been cancelled while what it stands for was on its way: no error. */
static void settle(PyObject *future, const char *method, PyObject *value)
{
    if (pyloop_future_done(future))
        return;
    PyObject *r = PyObject_CallMethod(future, method, "(O)", value);
    if (!r)
        PyErr_WriteUnraisable(future);
    Py_XDECREF(r);
}

void pyloop_future_result(PyObject *future, PyObject *result)
{
    settle(future, "set_result", result);
}

void pyloop_future_exception(PyObject *future, PyObject *exception)
{
    settle(future, "set_exception", exception);
}
