/* SPDX-License-Identifier: BSD-3-Clause */
/* loop.c: the loop as the rest of the worker sees it (loop.h). */
#include "worker/python/loop.h"

#include "common/fatal.h"
#include "worker/python/interp.h"
#include "worker/python/loop_handle.h"
#include "worker/python/loop_priv.h"

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
    PyObject *capsule = PyCapsule_New(base, LOOP_BASE_CAPSULE, NULL);
    PyObject *loop = capsule ? PyObject_CallOneArg(st->loop_class, capsule) : NULL;
    Py_XDECREF(capsule);
    Py_DECREF(module);
    if (loop && set_event_loop(loop))
        Py_CLEAR(loop);
    if (loop)
        ((struct pyloop *)loop)->idle_states = interp->idle_states;
    return (struct pyloop *)loop;
}

void pyloop_free(struct pyloop *loop, uint64_t ms)
{
    if (!loop)
        return;
    PyObject *r = PyObject_CallMethod((PyObject *)loop, "_shutdown", "d", (double)ms / 1000.0);
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
    PyObject *r = PyObject_CallMethodNoArgs((PyObject *)loop, loop->st->name__serve);
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
