/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_turn.c: one round of the loop: wait in libevent, move due timers to ready, run what is
 * ready.
 *
 * The GIL is released to block; if no other thread wants it, only after a look that found nothing, unless looks have
 * found nothing several times in a row. Callbacks that need it take it with pyloop_enter(), and then it stays held for
 * the rest of that round. As long as none does, the loop continues without it: what the connections do must not wait for
 * threads that compute.
 *
 * A round that does not block looks at libevent with the GIL held, up to HOLD_NS: a thread that takes it costs two
 * switches, and what it was woken for by this round (a function of run_in_executor()) is mostly done at less cost together
 * with what the next rounds give to other threads. Python's own evaluation releases it if others have waited for
 * sys.getswitchinterval(), as in any thread.
 */
#include <errno.h>

#include "common/clock.h"
#include "common/descriptors.h"
#include "common/likely.h"
#include "worker/python/fork_child.h"
#include "worker/python/loop_handle.h"
#include "worker/python/loop_priv.h"
#include "worker/python/step_watch.h"

#define HOLD_NS 500000
enum { LOOKS_IN_VAIN = 4, LOOK_AGAIN = 16 };

/* Threads of the main interpreter share the GIL with a sub-interpreter: those that native code has made. The states that
 * the worker itself keeps there (a spare one, and that of a thread that only waits for its end) want nothing. */
static bool main_has_threads(const struct pyloop *loop, PyInterpreterState *ours)
{
    PyInterpreterState *main = PyInterpreterState_Main();
    unsigned n = 0;
    if (main == ours)
        return false;
    for (PyThreadState *t = PyInterpreterState_ThreadHead(main); t && n <= loop->idle_states; t = PyThreadState_Next(t))
        n++;
    return n > loop->idle_states;
}

static bool others_want_the_gil(const struct pyloop *loop)
{
    PyThreadState *ours = loop->tstate;
    PyInterpreterState *interp = PyThreadState_GetInterpreter(ours);
    PyThreadState *head = PyInterpreterState_ThreadHead(interp);
    return head != ours || PyThreadState_Next(ours) || main_has_threads(loop, interp);
}

static void run_hooks(struct pyloop *loop)
{
    for (unsigned i = 0; i < loop->n_hooks; i++)
        loop->hooks[i].run(loop->hooks[i].arg);
}

static bool must_not_block(const struct pyloop *loop)
{
    return loop->ready.n > 0 || loop->stopping || loop->has_waiting;
}

/* Of the server's loop nothing is left that could be waited for; another one is its owner's affair. */
static void poll_failed(struct pyloop *loop)
{
    if (loop->home)
        descriptor_lost("what the event loop waits on");
    loop->broken = errno ? errno : EBADF;
}

static void poll_events(struct pyloop *loop, int flags)
{
    if (event_base_loop(loop->base, EVLOOP_ONCE | flags) < 0)
        poll_failed(loop);
    if (loop->after_events)
        loop->after_events(loop);
    if (unlikely(loop->step_watch))
        step_watch_end(loop->step_watch);
    run_hooks(loop);
}

/* A thread that was made meanwhile may keep it for long. */
static void poll_without_gil(struct pyloop *loop, bool block)
{
    do
        poll_events(loop, block ? 0 : EVLOOP_NONBLOCK);
    while (block && loop->entered == 0 && !loop->stopping && !loop->broken);
}

/* A round without waiting keeps the GIL for now. */
static bool keeps_gil(struct pyloop *loop)
{
    uint64_t now = clock_ns();
    if (!loop->held_since)
        loop->held_since = now;
    return now - loop->held_since < HOLD_NS;
}

/* While the loop waits for each answer the first look finds nothing and costs a system call: then it is made only once in
 * a while. */
static bool worth_a_look(const struct pyloop *loop)
{
    return loop->looks_in_vain < LOOKS_IN_VAIN || loop->looks_in_vain % LOOK_AGAIN == 0;
}

/* True if events came. */
static bool look(struct pyloop *loop)
{
    poll_events(loop, EVLOOP_NONBLOCK);
    if (loop->entered)
        loop->looks_in_vain = 0;
    return loop->entered > 0;
}

/* True if there were any that concern Python. */
static bool wait_for_events(struct pyloop *loop)
{
    bool block = !must_not_block(loop) && !timers_due(loop);
    loop->tstate = PyThreadState_Get();
    loop->polling = true;
    loop->entered = 0;
    if (others_want_the_gil(loop) && (block || !keeps_gil(loop))) {
        loop_leave_gil(loop);
        poll_without_gil(loop, block);
    } else if (!block) {
        look(loop);
    } else if (!worth_a_look(loop) || (!look(loop) && !must_not_block(loop) && !loop->broken)) {
        loop->looks_in_vain++;
        loop_leave_gil(loop);
        poll_without_gil(loop, true);
    }
    bool any = loop->entered > 0;
    loop_take_gil(loop);
    loop->polling = false;
    return any;
}

/* Only what is ready now: what these make ready waits for the next turn, so that nothing starves.
 */
static int run_ready(struct pyloop *loop)
{
    int result = 0;
    if (loop->hidden && loop->ready.n)
        loop_show(loop);
    for (size_t n = loop->ready.n; !result && n > 0 && loop->ready.n > 0; n--) {
        PyObject *handle = ready_pop(loop);
        if (unlikely(loop->step_watch))
            step_watch_begin(loop->step_watch);
        result = loop_handle_run(loop, handle);
        Py_DECREF(handle);
    }
    if (unlikely(loop->step_watch))
        step_watch_end(loop->step_watch);
    return result;
}

/* The callbacks of events make the tasks ready that waited for them: these run without another look at the kernel in
 * between, but only once, so that other events do not wait for long. */
static int run_ready_of_events(struct pyloop *loop)
{
    if (run_ready(loop))
        return -1;
    return loop->ready.n && !loop->stopping ? run_ready(loop) : 0;
}

/* What a handler of signal.signal() raises ends run_forever(), as with asyncio, whose wait it interrupts; first called
 * inside a callback, it would be that callback's failure. A worker's loop goes on instead. */
static int run_signal_handlers(const struct pyloop *loop)
{
    return loop->owns_base ? PyErr_CheckSignals() : 0;
}

static int turn(struct pyloop *loop)
{
    timers_arm(loop);
    bool events = wait_for_events(loop);
    if (unlikely(loop->broken)) {
        errno = loop->broken;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if ((events && run_signal_handlers(loop)) || timers_expire(loop) ||
        (events ? run_ready_of_events(loop) : run_ready(loop)))
        return -1;
    run_hooks(loop);
    return 0;
}

/* Not inside another one: a Task cannot be stepped within a Task, and the request that it stands for would wait for
 * ever. */
int loop_turn(struct pyloop *loop)
{
    if (!loop_is_alive(loop))
        return loop_check_closed(loop);
    if (!loop->opened || loop->turning) {
        PyErr_SetString(PyExc_RuntimeError,
                        loop->opened ? "the event loop is inside a turn already" : "Event loop is closed");
        return -1;
    }
    loop->turning = true;
    int result = turn(loop);
    loop->turning = false;
    return result;
}

/* ---- of a guest */

/* So many polls in a turn, while there is more to do at once; then the host's tasks have theirs. */
enum { POLLS = 4 };

static bool has_active(const struct pyloop *loop)
{
    return event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ACTIVE) > 0;
}

/* True: there is more to do. */
static bool poll_as_guest(struct pyloop *loop)
{
    loop->entered = 0;
    poll_events(loop, EVLOOP_NONBLOCK);
    bool due = guest_set_timer(loop->guest, loop->base);
    return !loop->stopping && (due || has_active(loop));
}

/* The host has released the GIL while it waited: others have had their turn, and it is kept here. */
void loop_turn_of_guest(struct pyloop *loop)
{
    struct guest *g = loop->guest;
    if (!g || loop->home != PyThread_get_thread_ident()) /* an application has found the method */
        return;
    fork_child_came_back(NULL, false);
    if (unlikely(g->in_turn))
        guest_pause(g);
    if (g->in_turn || loop->broken)
        return;
    if (unlikely(loop->step_watch))
        step_watch_turns(loop->step_watch);
    guest_begin(g);
    loop->tstate = PyThreadState_Get();
    loop->polling = true;
    bool more = true;
    for (unsigned n = 0; more && n < POLLS; n++)
        more = poll_as_guest(loop);
    loop->polling = false;
    if (loop->hidden)
        loop_show(loop);
    g->in_turn = false;
    guest_resume(g);
    if (loop->stopping)
        guest_stop(g);
    else if (more)
        guest_tell(g);
}
