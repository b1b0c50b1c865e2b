/* SPDX-License-Identifier: BSD-3-Clause */
/* deadline.h: many coarse timeouts under one libevent timer: a wheel of 256 ms slots. Setting a later time than before
 * costs a store; the entry moves when its slot comes up. */
#ifndef TINE_NET_DEADLINE_H
#define TINE_NET_DEADLINE_H

#include <event2/event_struct.h>
#include <stdint.h>
#include <sys/queue.h>

struct event_base;

#define WHEEL_SLOTS 256
#define WHEEL_TICK_MS 256

struct deadline {
    uint64_t at_ms; /* clock_ms() when it is due; 0 = not armed */
    uint64_t slot_tick; /* when its slot comes up */
    uint32_t slot; /* + 1; 0 = in no slot */
    void (*fn)(struct deadline *d);
    TAILQ_ENTRY(deadline) link;
};

struct wheel {
    struct event_base *base;
    struct event tick;
    uint64_t now_ms; /* of the last tick */
    uint64_t tick_no; /* the last one that was worked off */
    uint64_t
        ready_ms; /* time, as long as entries are armed, but for what held the loop up: of a tick that comes late, two
                        * ticks at most count */
    unsigned armed; /* entries in slots */
    TAILQ_HEAD(wheel_slot, deadline) slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, struct event_base *base);
void wheel_done(struct wheel *w);
void deadline_init(struct deadline *d, void (*fn)(struct deadline *d));
/* Fires between ms and ms + 530 from now, once; fn may set, clear or finish any deadline. */
void deadline_set(struct wheel *w, struct deadline *d, uint64_t ms);
/* Disarmed; stays in its slot until that comes up, unless freed: deadline_done(). */
void deadline_clear(struct deadline *d);
void deadline_done(struct wheel *w, struct deadline *d);

#endif
