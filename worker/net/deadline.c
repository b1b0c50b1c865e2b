/* SPDX-License-Identifier: BSD-3-Clause */
/* deadline.c: see deadline.h. Entries that were cleared or put off stay where they are until their slot comes up, so
 * that the usual case, a timeout that never happens, costs a store. The timer stops when no entry is left. */
#include "worker/net/deadline.h"

#include <event2/event.h>
#include <string.h>

#include "common/clock.h"
#include "common/timers.h"

/* Times round up to ticks, so that nothing fires early. */
static uint64_t tick_of(uint64_t ms)
{
    return ms / WHEEL_TICK_MS + 1;
}

static void insert(struct wheel *w, struct deadline *d)
{
    uint64_t tick = tick_of(d->at_ms);
    if (tick <= w->tick_no)
        tick = w->tick_no + 1;
    /* Beyond one round: as far as the wheel goes, then it is put off again. Never into the slot being emptied. */
    if (tick - w->tick_no >= WHEEL_SLOTS)
        tick = w->tick_no + WHEEL_SLOTS - 1;
    uint32_t slot = (uint32_t)(tick % WHEEL_SLOTS);
    d->slot = slot + 1;
    d->slot_tick = tick;
    TAILQ_INSERT_TAIL(&w->slots[slot], d, link);
}

static void take_out(struct wheel *w, struct deadline *d)
{
    TAILQ_REMOVE(&w->slots[d->slot - 1], d, link);
    d->slot = 0;
    w->armed--;
}

static void empty_slot(struct wheel *w, struct wheel_slot *slot)
{
    struct deadline *d;
    while ((d = TAILQ_FIRST(slot))) {
        take_out(w, d);
        if (!d->at_ms)
            continue;
        if (d->at_ms > w->now_ms) {
            w->armed++;
            insert(w, d);
            continue;
        }
        d->at_ms = 0;
        d->fn(d);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct wheel *w = arg;
    uint64_t now = clock_ms(), gap = now - w->now_ms;
    const uint64_t most = 2 * (uint64_t)WHEEL_TICK_MS;
    w->ready_ms += gap < most ? gap : most;
    w->now_ms = now;
    uint64_t now_tick = w->now_ms / WHEEL_TICK_MS;
    if (now_tick > w->tick_no + WHEEL_SLOTS) /* the process was stopped: once round is enough */
        w->tick_no = now_tick - WHEEL_SLOTS;
    while (w->tick_no < now_tick) {
        w->tick_no++;
        empty_slot(w, &w->slots[w->tick_no % WHEEL_SLOTS]);
    }
    if (!w->armed)
        event_del(&w->tick);
}

static void start_ticking(struct wheel *w, uint64_t now_ms)
{
    static const struct timeval period = { .tv_usec = WHEEL_TICK_MS * 1000L };
    w->now_ms = now_ms;
    w->tick_no = now_ms / WHEEL_TICK_MS;
    timer_add(&w->tick, &period);
}

void wheel_init(struct wheel *w, struct event_base *base)
{
    memset(w, 0, sizeof *w);
    w->base = base;
    for (int i = 0; i < WHEEL_SLOTS; i++)
        TAILQ_INIT(&w->slots[i]);
    event_assign(&w->tick, base, -1, EV_PERSIST, on_tick, w);
}

void wheel_done(struct wheel *w)
{
    event_del(&w->tick);
}

void deadline_init(struct deadline *d, void (*fn)(struct deadline *d))
{
    *d = (struct deadline){ .fn = fn };
}

void deadline_set(struct wheel *w, struct deadline *d, uint64_t ms)
{
    uint64_t now = (clock_coarse_ns() + CLOCK_COARSE_NS) / 1000000u; /* never too early */
    d->at_ms = now + ms;
    if (d->slot) {
        if (d->slot_tick <= tick_of(d->at_ms))
            return;
        take_out(w, d);
    }
    if (!w->armed++)
        start_ticking(w, now);
    insert(w, d);
}

void deadline_clear(struct deadline *d)
{
    d->at_ms = 0;
}

void deadline_done(struct wheel *w, struct deadline *d)
{
    d->at_ms = 0;
    if (d->slot)
        take_out(w, d);
}
