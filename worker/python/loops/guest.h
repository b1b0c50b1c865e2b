/* SPDX-License-Identifier: BSD-3-Clause */
/* guest.h: an event base inside a foreign loop (loop_ops.h). That loop watches the epoll descriptor of the base, which is
 * readable when anything is to be done; a turn of the guest does it without waiting. libevent's timers do not show in that
 * descriptor, so a timerfd in the base is set to the first of them (common/timers.h).
 *
 * What libevent's callbacks leave to the next turn, and what the application does to connections while the foreign loop
 * steps it (an answer that is sent, a request that has ended), shows in no descriptor either: guest_wants_turn().
 * All in the loop's thread, GIL held. */
#ifndef TINE_PYTHON_LOOPS_GUEST_H
#define TINE_PYTHON_LOOPS_GUEST_H

#include <Python.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <signal.h>
#include <stdint.h>

#include "common/stop_signals.h"

struct loop_ops;
struct pyloop;

struct guest {
    const struct loop_ops *ops;
    PyObject *host; /* an instance of Host */
    PyObject *asyncio; /* the host's loop as asyncio knows it; NULL: it is none of asyncio's */
    PyObject *turn; /* what the host calls */
    int epoll; /* of the base; -1: not attached */
    int timer;
    struct event timer_event;
    struct event asked; /* guest_hear() */
    bool hears;
    struct sigaction signals[STOP_SIGNALS]; /* what is done at stop_signals: a host may set its own */
    bool has_signals; /* they are to be set again in the first turn */
    uint64_t armed_ns; /* what the timerfd is set to; TIMERS_NONE: nothing */
    bool has_call_soon;
    bool was_told; /* the timerfd was made to fire for a turn */
    bool is_due; /* the timerfd has fired: which timer is the next one has to be looked up */
    bool in_turn;
    bool paused; /* by guest_pause() */
    bool wants_turn; /* the host will call it, whatever the descriptor says */
};

/* Of this host (stolen, also on failure). NULL: an exception is set. */
struct guest *guest_new(const struct loop_ops *ops, PyObject *host);
void guest_free(struct guest *g);

/* From now on the base is the guest, until guest_detach(). 0, or -1 with an exception set. */
int guest_attach(struct guest *g, struct event_base *base);
void guest_detach(struct guest *g);

/* Runs the host until guest_stop(); `turn` is called with no arguments. 0, or -1: what has left the loop is set. */
int guest_run(struct guest *g, PyObject *turn);
void guest_stop(struct guest *g);

/* When something is written to `fd`, an eventfd, there is a turn; -1: no more. 0, or -1 with errno. */
int guest_hear(struct guest *g, struct event_base *base, int fd) __attribute__((warn_unused_result));

/* The work that no descriptor shows. Cheap if the turn is there already. */
static inline bool guest_needs_telling(const struct guest *g)
{
    return g && !g->in_turn && !g->wants_turn;
}
void guest_tell(struct guest *g);

/* The host has begun to run: what it does about KeyboardInterrupt must not take the signals that the master's orders and
 * terminals come by. */
void guest_keep_signals(struct guest *g);

/* At the beginning of a turn. */
static inline void guest_begin(struct guest *g)
{
    if (g->has_signals)
        guest_keep_signals(g);
    g->wants_turn = false;
    g->in_turn = true;
}

/* A turn inside a turn, which does nothing: the host does not watch the descriptor until guest_resume(). */
void guest_pause(struct guest *g);
void guest_resume(struct guest *g);

/* At the end of a turn: the timerfd is set to the first timer of the base. True: one is due by now. */
bool guest_set_timer(struct guest *g, struct event_base *base);

#endif
