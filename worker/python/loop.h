/* SPDX-License-Identifier: BSD-3-Clause */
/* loop.h: the event loop of a worker: asyncio's, on libevent, in C where it is hot; or a foreign one, in which libevent is
 * a guest (loops/guest.h) and which then does all that is Python's. One per interpreter and thread.
 *
 * A turn: run what is ready (a snapshot), call the turn hooks, wait in libevent, move due timers to
 * ready. The GIL is released while waiting; libevent callbacks that touch Python objects call
 * pyloop_enter() first.
 *
 * The Python side is a subclass of asyncio.SelectorEventLoop (worker/python/loop.py) whose hot
 * methods are ours.
 */
#ifndef TINE_PYTHON_LOOP_H
#define TINE_PYTHON_LOOP_H

#include <Python.h>
#include <stdbool.h>

struct event_base;
struct interp;
struct loop_ops;
struct pyloop;
struct step_watch;

/* Makes the loop, or the host of `ops`, and sets it as the thread's event loop. GIL held. `interp` is read now only. `factory`:
 * app.loop_factory, or NULL. `base` stays the caller's; it needs the flag EVENT_BASE_FLAG_NOLOCK, neither PRECISE_TIMER (a
 * system call in every turn; the loop's timers have their own timerfd) nor EPOLL_USE_CHANGELIST (unsafe with the dup()ed
 * descriptors that applications have). NULL: exception set. */
struct pyloop *pyloop_new(const struct interp *interp, const struct loop_ops *ops, const char *factory,
                          struct event_base *base);
/* The loop goes over to another base, with what is scheduled and watched; only while pyloop_is_whole(). The old base can
 * be freed afterwards. In a forked process it must have been reinitialised, so that the process it was forked from notices
 * nothing. GIL held. 0, or -1 with an exception set. */
int pyloop_move(struct pyloop *loop, struct event_base *base);
/* False: while the application was imported it has closed the loop, or runs it in its own thread: then it and its base
 * are the application's, and another one has to be made. GIL held. */
bool pyloop_is_whole(const struct pyloop *loop);
/* It still uses its base. */
bool pyloop_is_open(const struct pyloop *loop);
/* The application is imported: from now on the loop runs in this thread alone, asyncio.get_event_loop() finds it in this
 * thread, and a stop() from before does not count. GIL held. 0, or -1 with an exception set. */
int pyloop_settle(struct pyloop *loop);
/* Closes the loop: cancels what is left, shuts down async generators and the default executor; what has not ended after `ms`
 * milliseconds is left. GIL held. */
void pyloop_free(struct pyloop *loop, uint64_t ms);

/* The asyncio loop object; borrowed. None: a foreign loop that is none of asyncio's. */
PyObject *pyloop_object(const struct pyloop *loop);
/* Of a foreign loop an instance of its class Host (loops/loop_ops.h), borrowed; NULL: the loop is our own. */
PyObject *pyloop_host(const struct pyloop *loop);
/* The version of its library; "": it comes with Python. */
void pyloop_version(const struct pyloop *loop, char *to, size_t size);
/* What it is. */
const struct loop_ops *pyloop_ops(const struct pyloop *loop);
/* To be called wherever the application has done something to a connection or a request: a foreign loop does not see that
 * a turn is needed. GIL held, the loop's thread. */
void pyloop_touched(struct pyloop *loop);

/* Takes the GIL for the rest of this libevent callback (and of the poll) if the loop released it;
 * free if held. */
void pyloop_enter(struct pyloop *loop);
/* The same for synchronous code, which may start its own loop and which Django keeps from its database where one
 * runs: asyncio.get_running_loop() finds none until the next pyloop_enter() or the next callback. */
void pyloop_enter_hidden(struct pyloop *loop);
/* ns that the loop's thread has waited for it so far. */
uint64_t pyloop_gil_wait(const struct pyloop *loop);

/* Has every step noted in `watch`, which stays the caller's; NULL: no more. */
void pyloop_watch_steps(struct pyloop *loop, struct step_watch *watch);
/* NULL: steps are not watched. */
struct step_watch *pyloop_step_watch(const struct pyloop *loop);

/* Calls hook(arg) once a turn after the ready handles have run and before waiting, and after
 * libevent callbacks of a poll; with or without the GIL. At most 4. */
void pyloop_add_turn_hook(struct pyloop *loop, void (*hook)(void *arg), void *arg);

/* Runs until pyloop_stop() or the application's loop.stop(). GIL held on entry and return. 0, or -1 with an exception set:
 * SystemExit or KeyboardInterrupt came out of a callback, and the loop can be run again; another one: it cannot. */
int pyloop_run(struct pyloop *loop);
void pyloop_stop(struct pyloop *loop);
/* The callback that is running is about to raise this very exception: it has been dealt with, and does not leave the loop.
 * GIL held. */
void pyloop_forgive(struct pyloop *loop, PyObject *exception);

/* The loop's own descriptors, which nothing else may close; constant from pyloop_settle() on. */
#define PYLOOP_FDS 2
void pyloop_descriptors(const struct pyloop *loop, int fds[PYLOOP_FDS]);

/* loop.call_soon(callback, *args) from C; 0 or -1 with an exception set. GIL held. */
int pyloop_call_soon(struct pyloop *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n);

/* For task.c, which runs the first step of a Task itself: asyncio.Task() asks for it by
 * loop.call_soon(step, context=context). From begin to end such a call with this very `context`
 * object is not queued (call_soon returns None) but kept. end returns the callback, a new
 * reference, or NULL (no exception set) if none came. Not nested. */
void pyloop_capture_begin(struct pyloop *loop, PyObject *context);
PyObject *pyloop_capture_end(struct pyloop *loop);
/* True if tasks must be made by loop.create_task(): debug mode, or a task factory is set. Cheap:
 * asked once a request. */
bool pyloop_plain_tasks(struct pyloop *loop);

/* What a coroutine awaits until pyloop_future_result() or _exception(): loop.create_future(), or what stands for it on a loop
 * that is none of asyncio's; new reference. GIL held. */
PyObject *pyloop_future(struct pyloop *loop);
/* True: an await that has nothing to wait for lets the loop have a round all the same, and may be cancelled there (trio calls
 * it a checkpoint): with what pyloop_checkpoint() returns, an awaitable, new reference; NULL: exception set. */
bool pyloop_has_checkpoints(const struct pyloop *loop);
/* Synchronous code runs on it in greenlets, and coroutines do not run: gevent's. */
bool pyloop_runs_greenlets(const struct pyloop *loop);
PyObject *pyloop_checkpoint(struct pyloop *loop);
/* What a coroutine that was cancelled raises: an exception class or a tuple of such; new reference, NULL: exception set. */
PyObject *pyloop_cancelled(struct pyloop *loop);
/* A coroutine that awaits callable(), or callable(argument) if there is one, on this loop, whichever thread's asyncio
 * loop it is awaited in; new reference, NULL: exception set. Both are borrowed. In any thread; GIL held. */
PyObject *pyloop_hand_over(struct pyloop *loop, PyObject *callable, PyObject *argument);

/* future.done(). Never leaves an exception set. */
bool pyloop_future_done(PyObject *future);
/* future.set_result / set_exception unless it is done (cancelled by its waiter). Never leaves an
 * exception set. */
void pyloop_future_result(PyObject *future, PyObject *result);
void pyloop_future_exception(PyObject *future, PyObject *exception);

#endif
