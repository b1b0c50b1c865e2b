/* SPDX-License-Identifier: BSD-3-Clause */
/* held.c: see held.h. The usual answer comes and goes without a timer of its own: one timer looks at the oldest. */
#include "worker/http/held.h"

#include <event2/event.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/likely.h"
#include "common/timers.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"

struct held {
    struct reqs delayed; /* the oldest first */
    struct reqs now;
    uint64_t delay; /* ms */
    struct event *timer, *turn;
    bool armed;
};

static uint64_t now_ms(void)
{
    return clock_coarse_ns() / 1000000u;
}

static void arm(struct held *held, uint64_t after)
{
    struct timeval tv = timeval_of_ms(after);
    held->armed = timer_add(held->timer, &tv) == 0;
}

/* A piece of no bytes brings the head on its way. */
static void let_go(struct req *r)
{
    held_remove(r);
    if (r->ops->body(r, SPAN(""), true) == RESP_SENT)
        r->ops->flush(r); /* perhaps others: a filter may have let go of it */
}

static void on_timer(int fd, short what, void *arg)
{
    struct held *held = arg;
    uint64_t now = now_ms();
    struct req *r;
    held->armed = false;
    while ((r = TAILQ_FIRST(&held->delayed)) && r->held.since_ms + held->delay <= now)
        let_go(r);
    if (r)
        arm(held, r->held.since_ms + held->delay - now);
}

static void on_turn(int fd, short what, void *arg)
{
    struct held *held = arg;
    struct req *r;
    while ((r = TAILQ_FIRST(&held->now)))
        let_go(r);
}

struct held *held_new(struct event_base *base, uint64_t delay)
{
    struct held *held = calloc(1, sizeof *held);
    if (!held)
        return NULL;
    TAILQ_INIT(&held->delayed);
    TAILQ_INIT(&held->now);
    held->delay = delay;
    held->timer = evtimer_new(base, on_timer, held);
    held->turn = event_new(base, -1, 0, on_turn, held);
    if (held->timer && held->turn)
        return held;
    held_free(held);
    return NULL;
}

void held_free(struct held *held)
{
    if (!held)
        return;
    if (held->timer)
        event_free(held->timer);
    if (held->turn)
        event_free(held->turn);
    free(held);
}

void held_add(struct held *held, struct req *r, bool at_once)
{
    held_remove(r);
    if (unlikely(at_once || !held->delay)) {
        r->held.in = &held->now;
        event_active(held->turn, EV_TIMEOUT, 0);
    } else {
        r->held.in = &held->delayed;
        r->held.since_ms = now_ms();
        if (unlikely(!held->armed))
            arm(held, held->delay);
    }
    TAILQ_INSERT_TAIL(r->held.in, r, held.link);
}

void held_remove(struct req *r)
{
    if (!r->held.in)
        return;
    TAILQ_REMOVE(r->held.in, r, held.link);
    r->held.in = NULL;
}

bool held_is_event_stream(const struct resp_field *f)
{
    static const struct span type = { "text/event-stream", 17 };
    if (f->name.n != 12 || !span_ieq(f->name, SPAN("content-type")))
        return false;
    struct span value = span_trim(f->value);
    return value.n >= type.n && span_ieq((struct span){ value.p, type.n }, type) &&
           (value.n == type.n || value.p[type.n] == ';' || value.p[type.n] == ' ');
}
