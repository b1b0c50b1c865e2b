/* SPDX-License-Identifier: BSD-3-Clause */
/* task_drive.c: send, throw and close of a RequestCoroutine, which its Task calls: they are handed on to what is driven,
 * and the end is reported. What ran before there was a Task (task_lazy.c) is played back as the Task's first step. It
 * must never report an end twice, nor take a misuse ("already executing") for one. */
#include "common/likely.h"
#include "worker/python/task_priv.h"

#include "worker/python/coro.h"
#include "worker/python/fork_child.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"

/* ---- ends */

void proxy_end(struct proxy *p, PyObject *result, PyObject *exception)
{
    Py_INCREF(p);
    pytask_done_fn *done = p->done;
    PyObject *arg = Py_XNewRef(p->arg);
    p->state = PROXY_ENDED;
    if (done)
        p->tasks->running--;
    if (p->tasks->loop)
        pyloop_touched(p->tasks->loop);
    proxy_retire(p);
    Py_CLEAR(p->callable);
    Py_CLEAR(p->arguments);
    if (done)
        done(arg, result, exception);
    Py_XDECREF(arg);
    Py_DECREF(p);
}

/* Ends with the exception that is set, and leaves it set for the Task. */
static void end_raising(struct proxy *p)
{
    PyObject *exception = pyerr_take();
    if (task_of(p))
        task_expect_exception(p->task);
    if (p->tasks->loop && task_stops_loop(exception))
        pyloop_forgive(p->tasks->loop, exception);
    proxy_end(p, NULL, exception);
    coro_restore(exception);
}

/* ---- steps */

static void reused(void)
{
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
}

static void executing(void)
{
    PyErr_SetString(PyExc_ValueError, "coroutine already executing");
}

/* What belongs to a request is the loop's thread's, whatever asyncio shows of it to others. */
static bool is_elsewhere(const struct proxy *p)
{
    if (likely(p->tasks->thread == PyThread_get_thread_ident()))
        return false;
    PyErr_SetString(PyExc_RuntimeError, "the coroutine of a request is run by the thread of the server's event loop "
                                        "alone: use loop.call_soon_threadsafe()");
    return true;
}

static int call_callable(struct proxy *p)
{
    PyObject *callable = p->callable, *arguments = p->arguments;
    p->callable = p->arguments = NULL;
    p->origin = PyObject_Call(callable, arguments, NULL);
    Py_DECREF(callable);
    Py_DECREF(arguments);
    if (!p->origin)
        return -1;
    p->iterator = coro_awaitable_iterator(p->origin);
    return p->iterator ? 0 : -1;
}

static PySendResult settle(struct proxy *p, PySendResult how, PyObject *value)
{
    if (how == PYGEN_NEXT)
        p->state = PROXY_SUSPENDED;
    else if (how == PYGEN_RETURN)
        proxy_end(p, value, NULL);
    else
        end_raising(p);
    return how;
}

static PyObject *take_value(struct proxy *p, enum proxy_state next)
{
    PyObject *value = p->value;
    p->value = NULL;
    p->state = next;
    return value ? value : Py_NewRef(Py_None);
}

static PySendResult drive(struct proxy *p, PyObject *arg, PyObject **ret)
{
    PySendResult how = PYGEN_ERROR;
    bool uncalled = p->state == PROXY_UNCALLED;
    struct step_watch *watch = task_step_begins(p->tasks, p->arg);
    p->state = PROXY_RUNNING;
    if (!uncalled || call_callable(p) == 0)
        how = PyIter_Send(p->iterator, arg ? arg : Py_None, ret);
    fork_child_came_back(NULL, how == PYGEN_NEXT);
    task_step_ends(p->tasks, watch);
    return settle(p, how, *ret);
}

/* What was raised ahead of the Task, whose own step is the loop's when that is not ours. */
static void raise_ahead(struct proxy *p)
{
    PyObject *exception = take_value(p, PROXY_ENDED);
    if (p->tasks->loop && pyloop_host(p->tasks->loop) && task_stops_loop(exception))
        pyloop_forgive(p->tasks->loop, exception);
    coro_restore(exception);
}

PySendResult proxy_send(PyObject *self, PyObject *arg, PyObject **ret)
{
    struct proxy *p = (struct proxy *)self;
    *ret = NULL;
    if (is_elsewhere(p))
        return PYGEN_ERROR;
    switch (p->state) {
    case PROXY_UNCALLED:
    case PROXY_SUSPENDED:
        return drive(p, arg, ret);
    case PROXY_YIELDED:
        *ret = take_value(p, PROXY_SUSPENDED);
        return PYGEN_NEXT;
    case PROXY_RETURNED:
        *ret = take_value(p, PROXY_ENDED);
        return PYGEN_RETURN;
    case PROXY_RAISED:
        raise_ahead(p);
        return PYGEN_ERROR;
    case PROXY_RUNNING:
        executing();
        return PYGEN_ERROR;
    case PROXY_ENDED:
        break;
    }
    reused();
    return PYGEN_ERROR;
}

PyObject *proxy_send_method(PyObject *self, PyObject *arg)
{
    PyObject *value;
    PySendResult how = proxy_send(self, arg, &value);
    if (how == PYGEN_NEXT)
        return value;
    if (how == PYGEN_RETURN) {
        coro_stop(value);
        Py_DECREF(value);
    }
    return NULL;
}

PyObject *proxy_next(PyObject *self)
{
    return proxy_send_method(self, Py_None);
}

/* Iterators need not have throw(): `await` then raises where it stands, and so ends. */
static PyObject *throw_into(struct proxy *p, PyObject *exception)
{
    PyObject *method = PyObject_GetAttrString(p->iterator, "throw");
    if (!method) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            coro_restore(Py_NewRef(exception));
        }
        return NULL;
    }
    PyObject *r = PyObject_CallOneArg(method, exception);
    Py_DECREF(method);
    return r;
}

/* throw() while nothing is on the C stack and the coroutine has not ended. */
static PyObject *drive_throw(struct proxy *p, PyObject *exception)
{
    if (p->state == PROXY_UNCALLED) {
        coro_restore(Py_NewRef(exception));
        end_raising(p);
        return NULL;
    }
    Py_CLEAR(p->value);
    p->state = PROXY_RUNNING;
    PyObject *yielded = throw_into(p, exception);
    fork_child_came_back(NULL, yielded != NULL);
    if (yielded || !PyErr_ExceptionMatches(PyExc_StopIteration)) {
        settle(p, yielded ? PYGEN_NEXT : PYGEN_ERROR, yielded);
        return yielded;
    }
    PyObject *stop = pyerr_take();
    proxy_end(p, ((PyStopIterationObject *)stop)->value, NULL);
    coro_restore(stop);
    return NULL;
}

/* The Task was cancelled while its coroutine ran ahead of it, and now throws into its "first" step. A Task that had
 * been there from the start would have found the flag after the step: give it back the flag (uncancel() restores the
 * count), hand over what the step came to, and the Task itself does the rest. */
static int give_back_cancellation(struct proxy *p, PyObject *exception)
{
    if (!task_of(p))
        return 0;
    PyObject *args = PyObject_GetAttrString(exception, "args");
    if (!args)
        return -1;
    PyObject *message = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    PyObject *r = PyObject_CallMethod(p->task, "cancel", "O", message);
    Py_DECREF(args);
    if (!r)
        return -1;
    Py_DECREF(r);
    r = PyObject_CallMethod(p->task, "uncancel", NULL);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static PyObject *throw_ahead(struct proxy *p, PyObject *exception)
{
    if (p->state == PROXY_RAISED) {
        coro_restore(take_value(p, PROXY_ENDED));
        return NULL;
    }
    if (give_back_cancellation(p, exception) < 0)
        return NULL;
    if (p->state == PROXY_YIELDED)
        return take_value(p, PROXY_SUSPENDED);
    PyObject *value = take_value(p, PROXY_ENDED);
    coro_stop(value);
    Py_DECREF(value);
    return NULL;
}

PyObject *proxy_throw_method(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct proxy *p = (struct proxy *)self;
    PyObject *exception = is_elsewhere(p) ? NULL : coro_throw_argument(args, n), *r = NULL;
    if (!exception)
        return NULL;
    if (p->state == PROXY_RUNNING)
        executing();
    else if (p->state == PROXY_ENDED)
        reused();
    else if (p->state == PROXY_UNCALLED || p->state == PROXY_SUSPENDED)
        r = drive_throw(p, exception);
    else
        r = throw_ahead(p, exception);
    Py_DECREF(exception);
    return r;
}

/* A coroutine that is closed has ended by GeneratorExit. */
static void end_closed(struct proxy *p)
{
    PyObject *exit = PyObject_CallNoArgs(PyExc_GeneratorExit);
    if (!exit)
        exit = pyerr_take();
    proxy_end(p, NULL, exit);
    Py_DECREF(exit);
}

static int close_iterator(struct proxy *p)
{
    PyObject *method = PyObject_GetAttrString(p->iterator, "close");
    if (!method) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    PyObject *r = PyObject_CallNoArgs(method);
    fork_child_came_back(NULL, false);
    Py_DECREF(method);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

PyObject *proxy_close_method(PyObject *self, PyObject *unused)
{
    struct proxy *p = (struct proxy *)self;
    if (is_elsewhere(p))
        return NULL;
    if (p->state == PROXY_RUNNING) {
        executing();
        return NULL;
    }
    if (p->state == PROXY_ENDED)
        Py_RETURN_NONE;
    bool begun = p->iterator && (p->state == PROXY_SUSPENDED || p->state == PROXY_YIELDED);
    p->state = PROXY_RUNNING;
    Py_CLEAR(p->value);
    if (begun && close_iterator(p) < 0) {
        end_raising(p);
        return NULL;
    }
    end_closed(p);
    Py_RETURN_NONE;
}

/* Its Task, if it has one, shall not complain, whether it is dropped as it is or stepped once more. */
void proxy_abandon(struct proxy *p)
{
    Py_INCREF(p);
    if (task_of(p)) {
        if (PyObject_SetAttrString(p->task, "_log_destroy_pending", Py_False) < 0)
            PyErr_Clear();
        task_expect_exception(p->task);
    }
    PyObject *r = proxy_close_method((PyObject *)p, NULL);
    if (!r)
        PyErr_WriteUnraisable((PyObject *)p);
    Py_XDECREF(r);
    if (p->link) /* would not be closed: a step of it is on the C stack */
        end_closed(p);
    Py_DECREF(p);
}
