/* SPDX-License-Identifier: BSD-3-Clause */
/* loop.c: the loop as the rest of the worker sees it (loop.h), and its life: attached to an event
 * base, closed. */
#include "worker/python/loop.h"

#include <errno.h>

#include "common/fatal.h"
#include "worker/python/interp.h"
#include "worker/python/loop_handle.h"
#include "worker/python/loop_internal.h"

#define BASE_CAPSULE "tine.event_base"

static struct event_base *private_base(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

int loop_open_base(struct pyloop *loop, PyObject *capsule)
{
    if (loop->opened) {
        PyErr_SetString(PyExc_RuntimeError, "the event loop is open already");
        return -1;
    }
    loop->owns_base = capsule == Py_None;
    loop->reserves_signals = !loop->owns_base;
    loop->base = loop->owns_base ? private_base() : PyCapsule_GetPointer(capsule, BASE_CAPSULE);
    if (!loop->base) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_OSError, "no event base can be made");
        return -1;
    }
    loop->edge = event_base_get_features(loop->base) & EV_FEATURE_ET;
    loop->opened = true;
    loop->depth = forked_depth;
    if (!timers_open(loop) && !wake_open(loop))
        return 0;
    loop_release_base(loop);
    return -1;
}

void loop_release_base(struct pyloop *loop)
{
    fatal_unless(!loop->polling || loop_is_dead(loop));
    if (!loop->opened)
        return;
    loop->opened = false;
    ready_clear(loop);
    if (loop_is_dead(loop))
        return;
    timers_close(loop);
    wake_close(loop);
    watches_close(loop);
    if (loop->owns_base)
        event_base_free(loop->base);
    loop->base = NULL;
}

static int set_event_loop(PyObject *loop)
{
    PyObject *events = PyImport_ImportModule("asyncio.events");
    PyObject *r = events ? PyObject_CallMethod(events, "set_event_loop", "O", loop) : NULL;
    Py_XDECREF(events);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

bool pyloop_is_whole(const struct pyloop *loop)
{
    return loop->opened && !loop->closed && !loop->thread && !loop->polling;
}

bool pyloop_is_open(const struct pyloop *loop)
{
    return loop->opened;
}

int pyloop_settle(struct pyloop *loop)
{
    loop->home = PyThread_get_thread_ident();
    loop->stopping = 0;
    return set_event_loop((PyObject *)loop);
}

void pyloop_descriptors(const struct pyloop *loop, int fds[PYLOOP_FDS])
{
    fds[0] = loop->wake.fd;
    fds[1] = loop->timers.fd;
}

struct pyloop *pyloop_new(struct interp *interp, struct event_base *base)
{
    PyObject *module;
    struct pystate *st = pystate_import(&module);
    if (!st)
        return NULL;
    PyObject *capsule = PyCapsule_New(base, BASE_CAPSULE, NULL);
    PyObject *loop = capsule ? PyObject_CallOneArg(st->loop_class, capsule) : NULL;
    Py_XDECREF(capsule);
    Py_DECREF(module);
    if (loop && set_event_loop(loop))
        Py_CLEAR(loop);
    return (struct pyloop *)loop;
}

int pyloop_move(struct pyloop *loop, struct event_base *base)
{
    fatal_unless(pyloop_is_whole(loop) && !loop->owns_base);
    timers_detach(loop);
    wake_close(loop);
    loop->base = base;
    if (timers_open(loop) || wake_open(loop) || watches_move(loop))
        return -1;
    timers_arm(loop);
    return 0;
}

void pyloop_free(struct pyloop *loop)
{
    if (!loop)
        return;
    PyObject *r = PyObject_CallMethod((PyObject *)loop, "_shutdown", NULL);
    if (!r)
        PyErr_WriteUnraisable((PyObject *)loop);
    Py_XDECREF(r);
    loop_release_base(loop); /* the base is about to go, whatever Python said */
    Py_DECREF((PyObject *)loop);
}

PyObject *pyloop_object(struct pyloop *loop)
{
    return (PyObject *)loop;
}

void pyloop_add_turn_hook(struct pyloop *loop, void (*hook)(void *arg), void *arg)
{
    fatal_unless(loop->n_hooks < LOOP_HOOKS);
    loop->hooks[loop->n_hooks].run = hook;
    loop->hooks[loop->n_hooks++].arg = arg;
}

int pyloop_run(struct pyloop *loop)
{
    PyObject *r = PyObject_CallMethodNoArgs((PyObject *)loop, loop->st->name_run_forever);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

void pyloop_stop(struct pyloop *loop)
{
    loop->stopping = 1;
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

bool pyloop_plain_tasks(struct pyloop *loop)
{
    return loop->debug || (loop->task_factory && loop->task_factory != Py_None);
}

PyObject *pyloop_future(struct pyloop *loop)
{
    PyObject *self = (PyObject *)loop;
    return PyObject_Vectorcall(loop->st->future_type, &self, 0, loop->st->future_kwnames);
}

PyObject *pyloop_hand_over(struct pyloop *loop, PyObject *callable, PyObject *argument)
{
    return PyObject_CallMethodObjArgs((PyObject *)loop, loop->st->name__hand_over, callable, argument, NULL);
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

/* Somebody may have cancelled the future while what it stands for was on its way: no error. */
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
