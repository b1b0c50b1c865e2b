/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_priv.h: the inside of the event loop, shared by loop*.c, pystate.c and task*.c. */
#ifndef TINE_PYTHON_LOOP_PRIV_H
#define TINE_PYTHON_LOOP_PRIV_H

#include <Python.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/forked.h"
#include "worker/python/loop.h"
#include "worker/python/loops/guest.h"
#include "worker/python/pystate.h"

#define LOOP_BASE_CAPSULE "tine.event_base" /* name of the capsule with an event base that Loop() is given */
#define LOOP_HOOKS 4
#define LOOP_SIGNALS 65

/* Handles that are ready to run, in order; a ring whose capacity is a power of two. */
struct ready {
    PyObject **ring;
    size_t cap, head, n;
};

struct timer {
    int64_t when; /* CLOCK_MONOTONIC, ns */
    uint64_t seq; /* keeps the order of equal times */
    PyObject *handle;
};

/* A binary heap; each handle knows its place (struct timer_place). */
struct timers {
    struct timer *v;
    size_t n, cap;
    uint64_t seq;
    int64_t armed; /* what the timerfd is set to; INT64_MAX: nothing */
    int fd;
    struct event event;
};

/* Readers and writers of a descriptor. */
struct watch {
    struct pyloop *loop;
    struct event event[2];
    PyObject *handle[2]; /* NULL: not watched */
};
enum { WATCH_READ, WATCH_WRITE };

struct signal_watch {
    struct pyloop *loop;
    struct event event;
    PyObject *handle; /* NULL: not watched */
};

struct wake {
    int fd; /* eventfd */
    bool pending;
    struct event event;
};

/* The C part of an instance of class Loop. */
struct pyloop {
    PyObject_HEAD struct pystate *st;
    PyObject *module; /* keeps st alive */
    struct event_base *base;
    struct guest
        *guest; /* NULL: this is the loop of the thread. Else a foreign one is (loops/), and of all that is Python's
                          * here only what the GIL and the turns need is in use */
    bool owns_base;
    /* Of one that owns its base, which is the application's: gives it an epoll descriptor, a timer and a wake-up of this
     * process's, with all that it watches. False: it stays dead, since another thread of the parent's was inside it. GIL held. */
    bool (*revive)(struct pyloop *loop);
    bool reserves_signals; /* signals of the server are refused */
    unsigned depth; /* forked_depth of the process that opened it; elsewhere the loop is dead: loop_is_dead() */
    bool edge; /* the back end of libevent can report edges: wake and timer need no read() */
    bool opened;

    char closed, stopping; /* seen by Python as _closed, _stopping */
    bool debug;
    unsigned long thread; /* that runs the loop; 0: it does not run */
    unsigned idle_states; /* see interp.h; 0 for a loop that the application has made: it has threads, or other loops */
    unsigned long home; /* the only one that may (pyloop_settle()); 0: any */
    int broken; /* errno of a wait that failed: there is nothing to wait on any more */
    unsigned long thread_shown; /* what Python calls it: seen as _thread_id */

    struct ready ready;
    struct timers timers;
    struct watch **watches; /* by descriptor */
    size_t n_watches;
    struct signal_watch *signals[LOOP_SIGNALS];
    struct wake wake;

    struct step_watch *step_watch; /* NULL: steps are not watched */
    PyThreadState *tstate; /* of the thread inside event_base_loop() */
    bool turning; /* inside a turn */
    bool polling; /* inside event_base_loop() */
    atomic_bool
        released; /* by the loop: it waits, or does what needs no GIL. Set with the GIL held, cleared on the way to it */
    uint64_t gil_wait_ns; /* how long its thread has waited for the GIL in all */
    uint64_t held_since; /* clock_ns() when it took the GIL, which it has not let go since; 0: not asked for yet */
    bool hidden; /* asyncio sees no loop running in this thread */
    PyObject *set_running_loop; /* asyncio's; NULL: not needed yet */
    unsigned entered; /* pyloop_enter() calls since it was set to 0 */
    unsigned looks_in_vain; /* turns in a row in which nothing was there before the loop waited */
    PyObject *capture_context; /* between pyloop_capture_begin() and _end(); borrowed */
    PyObject *captured;
    PyObject *forgiven; /* see pyloop_forgive(); NULL but inside a callback */
    PyObject *task_factory; /* seen by Python as _task_factory */

    struct {
        void (*run)(void *arg);
        void *arg;
    } hooks[LOOP_HOOKS];
    unsigned n_hooks;
    struct together *together; /* see pytask_call_together(); from malloc(); NULL: never used */
    void (*after_events)(struct pyloop *loop); /* its own; called after each poll */
    bool has_waiting; /* it has left something for the next poll */
};

struct step_watch;

int loop_methods_init(PyObject *module, struct pystate *st);

/* loop_ready.c. Appends to what is ready; steals `handle` (also on failure). 0, or -1 with an exception set. */
int ready_push(struct pyloop *loop, PyObject *handle);
void ready_clear(struct pyloop *loop);

/* The next handle; the caller's. Only if ready.n > 0. */
static inline PyObject *ready_pop(struct pyloop *loop)
{
    struct ready *r = &loop->ready;
    PyObject *handle = r->ring[r->head];
    r->head = (r->head + 1) & (r->cap - 1);
    r->n--;
    return handle;
}

/* In a process that the application has forked from the one that opened the loop: what it holds is the parent's, its
 * descriptors are closed here and their numbers may be another's. Nothing of libevent may be touched, until revive(). */
static inline bool loop_is_dead(const struct pyloop *loop)
{
    return unlikely(loop->depth != forked_depth);
}
static inline bool loop_is_alive(struct pyloop *loop)
{
    return !loop_is_dead(loop) || (loop->revive && loop->revive(loop));
}
static inline bool loop_has_released(const struct pyloop *loop)
{
    return atomic_load_explicit(&loop->released, memory_order_relaxed);
}
/* loop_check.c. RuntimeError if the loop is closed or dead. */
int loop_check_closed(struct pyloop *loop);
/* RuntimeError if the loop runs in another thread: libevent's structures have no lock. */
int loop_check_thread(struct pyloop *loop);
/* RuntimeError if it is another thread's to run it. */
int loop_check_home(struct pyloop *loop);

/* loop_base.c: attaches the loop to the event base in capsule `base`, or to a new one if it is None. 0, or -1 with an
 * exception set. */
int loop_open_base(struct pyloop *loop, PyObject *base);
/* The opposite; everything that is scheduled is dropped. */
void loop_release_base(struct pyloop *loop);

/* loop_hide.c: what asyncio.get_running_loop() finds: nothing, or the loop again. */
void loop_hide(struct pyloop *loop);
void loop_show(struct pyloop *loop);

/* loop_gil.c: takes the GIL if the loop has released it, as pyloop_enter() does, but leaves alone what asyncio sees as the
 * running loop; releases it. */
void loop_take_gil(struct pyloop *loop);
void loop_leave_gil(struct pyloop *loop);

/* loop_turn.c: one round of the loop. 0, or -1 with an exception set. */
int loop_turn(struct pyloop *loop);
/* The same of a guest: what is due in libevent, without waiting. */
void loop_turn_of_guest(struct pyloop *loop);

/* loop_task.c: loop.create_task(). */
PyObject *loop_create_task(struct pyloop *loop, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* loop_timer.c */
int timers_open(struct pyloop *loop);
void timers_close(struct pyloop *loop);
/* Keeps what is scheduled, for timers_open(). */
void timers_detach(struct pyloop *loop);
/* Schedules `handle` (borrowed, kept) at `when`. 0, or -1 with an exception set. */
int timers_add(struct pyloop *loop, PyObject *handle, int64_t when);
/* Forgets a handle if it is scheduled. */
void timers_remove(struct pyloop *loop, PyObject *handle);
/* True if the first timer is due, or about to be: the loop must not wait. */
bool timers_due(const struct pyloop *loop);
/* Sets the timerfd to the first timer if it is earlier than what it is set to, and not due. */
void timers_arm(struct pyloop *loop);
/* Moves what is due to ready. 0, or -1 with an exception set. */
int timers_expire(struct pyloop *loop);
/* Python's seconds as ns; rounded up so that nothing runs early. 0, or -1 with an exception set. */
int timer_when(PyObject *seconds, int64_t *ret_ns);

/* loop_fd.c */
/* context NULL or None: the present one. */
PyObject *loop_add_watch(struct pyloop *loop, int kind, PyObject *const *args, Py_ssize_t n, PyObject *context);
PyObject *loop_remove_watch(struct pyloop *loop, int kind, PyObject *file);
PyObject *loop_add_signal(struct pyloop *loop, PyObject *const *args, Py_ssize_t n);
PyObject *loop_remove_signal(struct pyloop *loop, PyObject *signal);
/* {descriptor: (reader or None, writer or None)} */
PyObject *loop_watched(struct pyloop *loop);
int watches_visit(struct pyloop *loop, visitproc visit, void *arg);
void watches_close(struct pyloop *loop);
/* To loop->base. 0, or -1 with an exception set. */
int watches_move(struct pyloop *loop);

/* loop_wake.c */
int wake_open(struct pyloop *loop);
void wake_close(struct pyloop *loop);
/* Wakes the loop if it waits in another thread; one that is awake looks by itself before it waits. GIL held. */
void wake_loop(struct pyloop *loop);

#endif
