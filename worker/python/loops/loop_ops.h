/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_ops.h: the event loops that may own the thread of a worker (app.loop). Ours (../loop.h) is one of them; where it is
 * another, that one is the host, and the event base with all connections is its guest (guest.h): the host watches one
 * descriptor and calls the guest's turn. What differs between hosts is a row of this table and a class Host:
 *
 *   class Host:
 *       asyncio                   its loop as asyncio knows it; None: it is not one of asyncio's
 *       version                   of the library, for the log; None: it comes with Python
 *       __init__(factory)         imports the library and makes the loop; factory: what app.loop_factory names, or None
 *       run(descriptor, turn)     calls turn() once, and then whenever the descriptor is readable (its level counts), in this
 *                                 thread and not inside another turn(); returns after stop(). What the application raises
 *                                 out of the loop leaves run(), which may be called again. turn() does not block or raise
 *       stop()                    run() is to return; in a turn()
 *       call_soon(callback)       in the loop's next round, from anything that runs on it; None: the guest's timer does it
 *       is_whole()                whether run() can be called: the application has neither closed nor started the loop
 *       shutdown(seconds)         after the last run(): ends what the application has left on the loop, which may take rounds
 *                                 of it, in which turn() is not called; then closes it
 *   LOOP_ASYNCIO besides:
 *       pause()                   turn() was called inside of a turn(), by a loop that runs inside itself: the descriptor is not
 *                                 to be watched until resume(), which the outer turn() calls at its end
 *   LOOP_TASKS besides:
 *       scope()                   what a request runs in: an object with cancel(), which may be called at any time
 *       scoped(scope, app, *args) an async function that awaits app(*args) in the scope
 *       start(scope, coroutine)   runs scoped(...), or what stands for it, as a task whose first step comes in a later round;
 *                                 called in a turn() or by what runs on the loop. What the coroutine raises has been reported.
 *                                 Returns something
 *       waiter()                  what a task awaits, once, until its set_result(value) is called; done(): it has been, or
 *                                 nobody waits any more
 *       checkpoint()              an awaitable that lets other tasks run, and where the one that awaits it can be cancelled
 *       hand_over(call, *args)    a coroutine that awaits call(*args) in the loop's thread, from another thread's loop
 *       cancelled                 the exceptions by which a task is seen to have been cancelled, a tuple
 *       tasks()                   yields name, coroutine and scope (None: of no request) of each task, in a turn()
 *   LOOP_GREENLETS besides:
 *       watch_steps(loop)         each step of a greenlet is noted by loop._step_begins() and _step_ends(); None: no more
 *       write_stacks_to(fd)       returns an eventfd: when it is written to, the stacks of greenlets are written to fd */
#ifndef TINE_PYTHON_LOOPS_LOOP_OPS_H
#define TINE_PYTHON_LOOPS_LOOP_OPS_H

#include "conf/conf.h"

/* How the application's code is run on it. */
enum loop_style {
    LOOP_ASYNCIO, /* by asyncio's Tasks and Futures, whichever loop steps them */
    LOOP_TASKS, /* by tasks of the host */
    LOOP_GREENLETS, /* by greenlets: synchronous applications alone */
};

struct loop_ops {
    enum conf_loop conf;
    enum loop_style style;
    const char *source; /* of the Python module with class Host; NULL: the loop is ours */
    const char *package; /* where pip finds it; NULL: it is Python's own */
    const char *versions; /* of it that were tried: ">=0.17,<0.24" */
};

/* Never NULL. */
const struct loop_ops *loop_ops_of(enum conf_loop conf);

#endif
