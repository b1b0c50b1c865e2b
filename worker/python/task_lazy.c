/* SPDX-License-Identifier: BSD-3-Clause */
/* task_lazy.c: runs the first step of a coroutine before, and mostly instead of, making an asyncio.Task of it. Whoever
 * asks for the current Task during that step gets a real one, made then (lazy_task). When the step has ended, a Task that
 * exists, or that must exist because the coroutine waits for something, runs its own first step, in which the proxy
 * plays back what happened (task_proxy.c). It must never leave a Task or a context entered. */
#include "worker/python/task_priv.h"

#include "worker/python/coro.h"
#include "worker/python/fork_child.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"

static struct proxy *step_proxy(struct first_step *step)
{
    if (step->proxy)
        return step->proxy;
    struct proxy *p = proxy_new(step->tasks, step->job);
    if (!p)
        return NULL;
    p->state = PROXY_RUNNING;
    p->origin = Py_XNewRef(step->origin);
    p->iterator = Py_XNewRef(step->iterator);
    step->proxy = p;
    return p;
}

/* asyncio.Task(proxy, loop=loop, context=context), with the step it wants to make kept back from the loop. */
static int make_task(struct first_step *step)
{
    struct pytasks *tasks = step->tasks;
    struct proxy *p = step_proxy(step);
    if (!p)
        return -1;
    PyObject *args[] = { (PyObject *)p, tasks->loop_object, step->context };
    pyloop_capture_begin(tasks->loop, step->context);
    PyObject *task = PyObject_Vectorcall(tasks->task_type, args, 1, tasks->task_keywords);
    step->task_step = pyloop_capture_end(tasks->loop);
    if (!task)
        return -1;
    step->task = task;
    p->task = Py_NewRef(task);
    return 0;
}

/* An eager Task (3.12) that this step has started may be the current one: then ours is entered when asked for again. */
PyObject *lazy_task(struct first_step *step)
{
    struct current *current = step->tasks->current;
    if (!step->task && make_task(step) < 0)
        return NULL;
    if (!step->entered && !current_is_set(current)) {
        if (current_enter(current, step->task) < 0)
            return NULL;
        step->entered = true;
    }
    return step->task;
}

static void leave_task(struct first_step *step)
{
    if (step->entered && current_leave(step->tasks->current, step->task) < 0)
        PyErr_WriteUnraisable(step->task);
    step->entered = false;
}

/* Calls the callable, if that is the job, and finds what to drive. */
static int open_iterator(struct first_step *step)
{
    const struct job *job = step->job;
    step->origin = job->coro ? Py_NewRef(job->coro) : PyObject_Vectorcall(job->callable, job->args, job->n, NULL);
    if (!step->origin)
        return -1;
    step->iterator = coro_awaitable_iterator(step->origin);
    if (step->proxy) { /* the callable has asked for its Task */
        step->proxy->origin = Py_NewRef(step->origin);
        step->proxy->iterator = Py_XNewRef(step->iterator);
    }
    return step->iterator ? 0 : -1;
}

/* *ret_value: what it yielded, returned or raised; new reference. Context entered and left. */
static PySendResult run_first_step(struct first_step *step, PyObject **ret_value)
{
    struct current *current = step->tasks->current;
    PySendResult how = PYGEN_ERROR;
    struct step_watch *watch = task_step_begins(step->tasks, step->job->arg);
    current->step = step;
    if (open_iterator(step) == 0)
        how = PyIter_Send(step->iterator, Py_None, ret_value);
    fork_child_came_back(NULL, how == PYGEN_NEXT);
    current->step = NULL;
    task_step_ends(step->tasks, watch);
    if (how == PYGEN_ERROR)
        *ret_value = pyerr_take();
    leave_task(step);
    return how;
}

/* The Task's own first step, in which the proxy plays back ours. */
static void run_task_step(struct first_step *step)
{
    if (!step->task_step)
        return; /* went to the loop after all: call_soon was replaced */
    if (PyContext_Enter(step->context) < 0) {
        PyErr_WriteUnraisable(step->task);
        return;
    }
    PyObject *r = PyObject_CallNoArgs(step->task_step);
    PyObject *exception = r ? NULL : pyerr_take();
    Py_XDECREF(r);
    if (PyContext_Exit(step->context) < 0)
        PyErr_WriteUnraisable(step->task);
    if (exception && !task_stops_loop(exception)) {
        coro_restore(exception);
        PyErr_WriteUnraisable(step->task);
    } else {
        Py_XDECREF(exception); /* the caller has it too, and gives it to `done` */
    }
}

/* The end, known without a Task or after the Task that was asked for has played it back. */
static void end_job(struct pytasks *tasks, const struct job *job, PySendResult how, PyObject *value)
{
    tasks->running--;
    job->done(job->arg, how == PYGEN_RETURN ? value : NULL, how == PYGEN_RETURN ? NULL : value);
}

static void end_in_first_step(struct first_step *step, PySendResult how, PyObject *value)
{
    if (step->task) {
        struct proxy *p = step->proxy;
        p->state = how == PYGEN_RETURN ? PROXY_RETURNED : PROXY_RAISED;
        p->value = Py_NewRef(value);
        run_task_step(step);
        if (how == PYGEN_ERROR && step->task_step)
            task_mark_retrieved(step->task);
        else if (how == PYGEN_ERROR)
            task_expect_exception(step->task); /* it is played back in another round of a loop that is not ours */
    }
    if (step->proxy)
        proxy_retire(step->proxy);
    end_job(step->tasks, step->job, how, value);
}

/* `value` stolen. */
static void suspend(struct first_step *step, PyObject *value)
{
    if (!step->task && make_task(step) < 0) {
        PyObject *exception = pyerr_take();
        Py_DECREF(value);
        if (step->proxy)
            proxy_retire(step->proxy);
        end_job(step->tasks, step->job, PYGEN_ERROR, exception);
        Py_DECREF(exception);
        return;
    }
    step->proxy->state = PROXY_YIELDED;
    step->proxy->value = value;
    run_task_step(step);
}

int lazy_start(struct pytasks *tasks, const struct job *job)
{
    struct first_step step = { .tasks = tasks, .thread = PyThreadState_Get(), .job = job };
    PyObject *value = NULL;
    step.context = PyContext_Copy(tasks->base_context);
    if (!step.context)
        return -1;
    if (PyContext_Enter(step.context) < 0) {
        Py_DECREF(step.context);
        return -1;
    }
    tasks->running++;
    PySendResult how = run_first_step(&step, &value);
    if (PyContext_Exit(step.context) < 0)
        PyErr_WriteUnraisable(step.context);
    if (how == PYGEN_NEXT) {
        suspend(&step, value);
    } else {
        end_in_first_step(&step, how, value);
        Py_DECREF(value);
    }
    Py_XDECREF(step.task_step);
    Py_XDECREF(step.task);
    Py_XDECREF((PyObject *)step.proxy);
    Py_XDECREF(step.iterator);
    Py_XDECREF(step.origin);
    Py_DECREF(step.context);
    return 0;
}
