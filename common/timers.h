/* SPDX-License-Identifier: BSD-3-Clause */
/* timers.h: when libevent's next timer is due. An event base tells nobody, but one that is a guest of another loop must have
 * that loop wake it in time: so every timer of a worker's base is armed by timer_add(), which notes the earliest.
 *
 * One note a process: a worker has one base with timers, and those who arm them are handed no loop. */
#ifndef TINE_COMMON_TIMERS_H
#define TINE_COMMON_TIMERS_H

#include <event2/event.h>
#include <stdint.h>

#include "common/clock.h"

#define TIMERS_NONE UINT64_MAX

/* clock_ns(), not later than the first timer is due; TIMERS_NONE: none is armed. */
extern uint64_t timers_earliest_ns;

/* event_add() with a time: of one that is deleted meanwhile the note is too early, never too late. */
static inline int timer_add(struct event *event, const struct timeval *in)
{
    uint64_t at = clock_coarse_ns() + (uint64_t)in->tv_sec * 1000000000u + (uint64_t)in->tv_usec * 1000u;
    if (at < timers_earliest_ns)
        timers_earliest_ns = at;
    return event_add(event, in);
}

/* Looks through all events of the base, and notes what is found. */
void timers_look(struct event_base *base);

#endif
