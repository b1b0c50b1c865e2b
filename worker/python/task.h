/* SPDX-License-Identifier: BSD-3-Clause */
/* task.h: runs a coroutine as asyncio would run a Task of it, at the least cost; on a loop that is none of asyncio's, as a
 * task of that loop (loops/loop_ops.h), which is none of what follows.
 *
 * The first step runs at once, inside the caller's C stack, in a fresh copy of the worker's base context. A coroutine
 * that ends in that step never becomes a Task, unless it (or a library) asks: asyncio.current_task(), all_tasks(),
 * asyncio.timeout(), TaskGroup, anyio and sniffio find a real asyncio.Task, made at that moment. A coroutine that
 * suspends becomes a Task whose get_coro() passes through to it. Cancellation, contextvars, names are exact.
 */
#ifndef TINE_PYTHON_TASK_H
#define TINE_PYTHON_TASK_H

#include <Python.h>
#include <stdbool.h>

struct pyloop;
struct pytasks;

/* Called exactly once when the coroutine has ended, GIL held, possibly before pytask_start() returns.
 * `result` is borrowed; NULL: the coroutine raised `exception` (borrowed, traceback attached). What it raised is the
 * callee's to report and to act on: asyncio's "exception was never retrieved" is not logged, and SystemExit and
 * KeyboardInterrupt, which the Task keeps as any other Task would, do not leave the loop. CancelledError also arrives
 * here. */
typedef void pytask_done_fn(PyObject *arg, PyObject *result, PyObject *exception);

/* One per application: several may share a loop. To be made before the application is imported: asyncio.current_task()
 * and all_tasks() are replaced in every module that has them by then. The context of the moment is the base of every
 * request's. NULL: exception set. */
struct pytasks *pytasks_new(struct pyloop *loop);
/* What still runs is closed, its done called with GeneratorExit, and nothing can be started any more. Not from inside a
 * first step. NULL is fine. */
void pytasks_close(struct pytasks *tasks);
/* The same, and gives it back. */
void pytasks_free(struct pytasks *tasks);

/* For those who watch the loop's steps (step_watch.h): writes what the one that was started with `arg` works for. */
typedef void pytask_describe_fn(PyObject *arg, char *to, size_t size);
void pytasks_describe_by(struct pytasks *tasks, pytask_describe_fn *describe);

/* Adds {Task: that text} of each that runs to the dictionary. 0, or -1 with an exception set. */
int pytasks_describe_all(const struct pytasks *tasks, PyObject *to);

/* Not on a loop whose tasks are not asyncio's.
 * `coro`: what calling an async callable returned: a coroutine or any awaitable with send/throw (stolen).
 * `arg` (may be NULL) is kept alive until done has been called. 0; or -1 with an exception set (no memory), done not
 * called. From inside another Task's step (see pytasks_idle()), in debug mode and with a task factory it is
 * loop.create_task(), so that the first step comes with the next turn of the loop: right, but slower. */
int pytask_start(struct pytasks *tasks, PyObject *coro, pytask_done_fn *done, PyObject *arg);

/* Calls `callable(*args)` and starts what it returns, both in the new context: what an ASGI server does. What the call
 * itself raises, and TypeError if it returns nothing that can be awaited, go to done. `args` are borrowed. */
int pytask_call(struct pytasks *tasks, PyObject *callable, PyObject *const *args, Py_ssize_t n, pytask_done_fn *done,
                PyObject *arg);

/* The same, but the call may wait until all events of this poll have been looked at, and then runs together with others that
 * do; an exception that keeps it from being started (no memory) goes to done. For what comes by an event of the network and
 * has nothing behind it that would have to wait. */
int pytask_call_together(struct pytasks *tasks, PyObject *callable, PyObject *const *args, Py_ssize_t n,
                         pytask_done_fn *done, PyObject *arg);

/* Of a loop: called before and after several first steps that run together. What they send may be kept until `end`, which
 * comes within a millisecond, or when a step that takes longer has ended; after such a step neither is called for some
 * seconds. GIL held. */
struct pytasks_gather {
    void (*begin)(void *arg);
    void (*end)(void *arg);
    bool (*full)(void *arg); /* asked between two: true: the rest runs after the next poll */
    void *arg;
};
void pytasks_gather(struct pyloop *loop, const struct pytasks_gather *gather);

/* True if no Task is being stepped on this thread: pytask_start() runs the first step at once. It is true inside a
 * done that is called before pytask_start() returns, and false inside one called by a Task's step. */
bool pytasks_idle(struct pytasks *tasks);

/* Started and not ended. */
unsigned pytasks_running(const struct pytasks *tasks);
/* Cancels the one started with this arg, if it still runs. Not from inside its first step. */
void pytasks_cancel(struct pytasks *tasks, const PyObject *arg);
/* Cancels all that are running (graceful_timeout has passed), but those started with `spared` as their arg. */
void pytasks_cancel_all(struct pytasks *tasks, const PyObject *spared);

#endif
