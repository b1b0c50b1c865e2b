/* SPDX-License-Identifier: BSD-3-Clause */
/* step_watch.h: notices steps of the event loop that hold it too long, while they do: its own thread looks at what the
 * loop's thread notes here, and has that thread write its Python stack. Without a watch the loop tests one pointer.
 *
 * A step: one callback of libevent that enters Python, or one handle (a step of a Task, a callback) of the loop. Where the
 * loop is another than ours only those of requests can be noted. So the watch asks it for a turn again and again, and one
 * that does not come is reported like a step, unless steps that are noted come meanwhile. */
#ifndef TINE_PYTHON_STEP_WATCH_H
#define TINE_PYTHON_STEP_WATCH_H

#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct step_watch;

#define STEP_WHAT 200 /* bytes kept of what a step works for */

struct step_watch_ops {
    /* On the loop's thread: a step has held the loop for this long; `what` as set by step_watch_name(), "" if unset;
     * `told`: the log has its stack. */
    void (*on_late)(void *arg, const char *what, uint64_t ns, bool told);
};

/* Steps longer than limit_ms are reported from now on: begun and ended by the thread that calls this, GIL held. NULL:
 * exception set. */
struct step_watch *step_watch_new(uint64_t limit_ms, const struct step_watch_ops *ops, void *arg);
/* From now on it asks for turns, by writing to the eventfd that this returns, which stays the watch's. Same thread. */
int step_watch_ask(struct step_watch *watch);
/* Waits for its thread; NULL: nothing. Same thread. */
void step_watch_free(struct step_watch *watch);

/* --- on the loop's thread --- */

/* A step begins, the one before has ended. Nothing inside step_watch_enter(). */
void step_watch_begin(struct step_watch *watch);
/* There is a turn, as it was asked for. */
void step_watch_turns(struct step_watch *watch);
/* The loop is going to wait. */
void step_watch_end(struct step_watch *watch);
/* The application runs; what it calls back is part of the same step. */
void step_watch_enter(struct step_watch *watch);
void step_watch_leave(struct step_watch *watch);
/* What the present step works for: "GET /path". Where to write it, STEP_WHAT bytes, terminated by the caller. */
char *step_watch_name(struct step_watch *watch);

#endif
