/* SPDX-License-Identifier: BSD-3-Clause */
/* task_priv.h: what the task*.c files share.
 *
 * A request begins as a `struct first_step` on the C stack. It grows a `struct proxy` (a Python object, the coroutine
 * that asyncio sees) and an asyncio.Task only when the coroutine suspends or someone asks for the Task. */
#ifndef TINE_PYTHON_TASK_PRIV_H
#define TINE_PYTHON_TASK_PRIV_H

#include <Python.h>
#include <stdbool.h>

#include "common/likely.h"
#include "worker/python/loop_priv.h"
#include "worker/python/step_watch.h"
#include "worker/python/task.h"

#ifdef __SANITIZE_ADDRESS__ /* what was freed must look freed */
enum { PROXY_FREE_LIST = 1 };
#else
enum { PROXY_FREE_LIST = 256 };
#endif

enum proxy_state {
    PROXY_UNCALLED,  /* the callable is still to be called, by the Task's first step */
    PROXY_SUSPENDED, /* every send goes to the iterator */
    PROXY_RUNNING,   /* a step is on the C stack */
    PROXY_YIELDED,   /* ran ahead of its Task: `value` is what it yielded */
    PROXY_RETURNED,  /* ran ahead: `value` is the result */
    PROXY_RAISED,    /* ran ahead: `value` is the exception */
    PROXY_ENDED,
};

/* The coroutine of a request as its Task sees it. */
struct proxy {
    PyObject_HEAD enum proxy_state state;
    PyObject *origin;   /* what the callable returned: what get_coro() shows */
    PyObject *iterator; /* what is driven: `origin` itself or its __await__() */
    PyObject *callable; /* UNCALLED only, with the tuple `arguments` */
    PyObject *arguments;
    PyObject *value;
    PyObject *task; /* NULL once ended. Of a host that makes the tasks: what has their cancel() */
    pytask_done_fn *done; /* NULL once called */
    PyObject *arg;
    struct pytasks *tasks;
    struct proxy *next, **link; /* in tasks->running_list, which owns a reference; `link` NULL: not in it */
    PyObject *weakrefs;
};

/* What pytask_start() and pytask_call() are given; all borrowed. `coro` or `callable`. */
struct job {
    PyObject *coro;
    PyObject *callable;
    PyObject *const *args;
    Py_ssize_t n;
    pytask_done_fn *done;
    PyObject *arg;
};

/* A first step that is running that made no Task. */
struct first_step {
    struct pytasks *tasks;
    PyThreadState *thread;
    const struct job *job;
    PyObject *context;
    PyObject *origin, *iterator; /* as in struct proxy */
    struct proxy *proxy;         /* the rest: NULL until needed */
    PyObject *task;
    PyObject *task_step; /* the Task's own first step, kept from the loop */
    bool entered;        /* `task` is asyncio's current task */
};

/* asyncio's notion of the current Task of a loop, and our part in it: one for all the runners of a loop. */
struct current {
    PyObject_HEAD unsigned users;
    struct first_step *step; /* running now */
    PyObject *loop_object;
    PyObject *enter_task, *leave_task, *get_running_loop;
    PyObject *running_key, *running_mark; /* see task_current.c */
    PyObject *current_tasks;              /* the dictionary {loop: task}; NULL from 3.14 on */
    PyObject *current_task, *all_tasks;   /* what was there before ours */
    PyObject *our_current_task, *our_all_tasks;
};

struct pytasks {
    PyObject_HEAD struct pyloop *loop; /* NULL after pytasks_free() */
    unsigned long thread; /* of the loop: the only one that steps what is here */
    struct current *current; /* NULL: not asyncio's */
    PyObject *loop_object;
    PyObject *host; /* whose tasks run the coroutines; NULL: asyncio's do */
    pytask_describe_fn *describe; /* NULL: nothing is known */
    PyObject *base_context;
    PyTypeObject *proxy_type;
    PyObject *task_type;
    PyObject *task_keywords; /* ("loop", "context") */
    unsigned running;
    struct proxy *running_list;
    unsigned n_free;
    struct proxy *free[PROXY_FREE_LIST];
};

/* ---- task.c: pytask_call(); the same, cancelled before its first step. 0, or -1 with an exception set. */
int task_start(struct pytasks *tasks, const struct job *job);
int task_start_cancelled(struct pytasks *tasks, const struct job *job);

/* ---- task_together.c: of those that still wait. `arg` NULL: all but `spared`. */
void together_cancel(struct pytasks *tasks, const PyObject *arg, const PyObject *spared);
/* As proxy_abandon(). */
void together_abandon(struct pytasks *tasks);

/* ---- task.c, for step_watch.h: a step of the one that was started with `arg` begins and ends on this thread. Without a
 * watch NULL comes back. */
struct step_watch *task_step_named(struct pytasks *tasks, PyObject *arg);
static inline struct step_watch *task_step_begins(struct pytasks *tasks, PyObject *arg)
{
    if (likely(!tasks->loop || !tasks->loop->step_watch))
        return NULL;
    return task_step_named(tasks, arg);
}
void task_step_ended(struct pytasks *tasks, struct step_watch *watch);
static inline void task_step_ends(struct pytasks *tasks, struct step_watch *watch)
{
    if (unlikely(watch))
        task_step_ended(tasks, watch);
}

/* ---- task_proxy.c */
PyTypeObject *proxy_make_type(void);
/* In the running list, state SUSPENDED, nothing to run yet; a new reference. NULL: exception set. */
struct proxy *proxy_new(struct pytasks *tasks, const struct job *job);
/* Forgets the Task, leaves the running list and will not call done: the caller does. */
void proxy_retire(struct proxy *p);
/* Frees what the free list holds. */
void proxy_drop_free_list(struct pytasks *tasks);

/* ---- task_drive.c */
/* The coroutine has ended: retires, then calls done, once. No exception may be set. */
void proxy_end(struct proxy *p, PyObject *result, PyObject *exception);
/* Closes it because the loop goes away. */
void proxy_abandon(struct proxy *p);
/* Slots and methods of the type. */
PySendResult proxy_send(PyObject *self, PyObject *arg, PyObject **ret);
PyObject *proxy_next(PyObject *self);
PyObject *proxy_send_method(PyObject *self, PyObject *arg);
PyObject *proxy_throw_method(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *proxy_close_method(PyObject *self, PyObject *unused);

/* ---- task_lazy.c */
/* Runs the first step of `job` now. 0, or -1 with an exception set and done not called. */
int lazy_start(struct pytasks *tasks, const struct job *job);
/* The Task of the first step that is running, made if there is none, entered as current if none is. Borrowed; NULL:
 * exception set. */
PyObject *lazy_task(struct first_step *step);

/* ---- task_current.c */
/* The one of this loop, its functions in place of asyncio's in every module that has those; made by the first runner,
 * shared by the next. New reference, NULL: exception set. */
struct current *current_acquire(PyObject *loop_object);
/* Gives the reference back; the last runner puts asyncio's functions back in place. NULL: nothing. */
void current_release(struct current *c);
/* Whether asyncio has a current Task. */
bool current_is_set(struct current *c);
/* The first step that is running on this thread, or NULL. */
struct first_step *current_step(const struct current *c);
/* asyncio's _enter_task() and _leave_task(); 0, or -1 with an exception set. */
int current_enter(struct current *c, PyObject *task);
int current_leave(struct current *c, PyObject *task);

/* ---- task.c */
/* The exception of `task` is taken care of: asyncio need not log it. */
void task_mark_retrieved(PyObject *task);
/* The same of an exception that an asyncio.Task, or nobody, is about to get. */
void task_expect_exception(PyObject *task);
/* The asyncio.Task of a proxy; NULL: it has none. Borrowed. */
static inline PyObject *task_of(const struct proxy *p)
{
    return p->tasks->host ? NULL : p->task;
}
/* SystemExit and KeyboardInterrupt, which a Task raises out of its step, and so out of the loop, besides keeping them. */
bool task_stops_loop(PyObject *exception);

#endif
