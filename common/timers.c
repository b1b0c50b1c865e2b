/* SPDX-License-Identifier: BSD-3-Clause */
/* timers.c: see timers.h. libevent counts time as CLOCK_MONOTONIC_COARSE does; the difference is the caller's affair. */
#include "common/timers.h"

#include <event2/event_struct.h>

uint64_t timers_earliest_ns = TIMERS_NONE;

static int look_at(const struct event_base *base, const struct event *event, void *arg)
{
    uint64_t *earliest = arg;
    if (!event_pending(event, EV_TIMEOUT, NULL))
        return 0;
    const struct timeval *at = &event->ev_timeout;
    uint64_t ns = (uint64_t)at->tv_sec * 1000000000u + (uint64_t)at->tv_usec * 1000u;
    if (ns < *earliest)
        *earliest = ns;
    return 0;
}

void timers_look(struct event_base *base)
{
    timers_earliest_ns = TIMERS_NONE;
    event_base_foreach_event(base, look_at, &timers_earliest_ns);
}
