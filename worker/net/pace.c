/* SPDX-License-Identifier: BSD-3-Clause */
/* pace.c: see pace.h. Whole numbers: a byte is 1000, a millisecond of waiting is the rate. */
#include "worker/net/pace.h"

#include "worker/net/deadline.h"

#define BYTE 1000u

static uint64_t for_a_ms(uint64_t rate)
{
    return rate ? rate : 1;
}

static uint64_t owed_now(const struct pace *p, const struct wheel *w, uint64_t rate)
{
    return p->owed + (p->waits ? (w->ready_ms - p->since_ms) * for_a_ms(rate) : 0);
}

static void reckon(struct pace *p, const struct wheel *w, uint64_t rate)
{
    p->owed = owed_now(p, w, rate);
    p->since_ms = w->ready_ms;
}

void pace_wait(struct pace *p, const struct wheel *w, uint64_t rate)
{
    reckon(p, w, rate);
    p->waits = true;
}

void pace_rest(struct pace *p, const struct wheel *w, uint64_t rate)
{
    reckon(p, w, rate);
    p->waits = false;
}

void pace_paid(struct pace *p, const struct wheel *w, uint64_t rate, uint64_t n)
{
    if (!n || (!p->owed && !p->waits))
        return;
    reckon(p, w, rate);
    p->owed = rate && n < p->owed / BYTE ? p->owed - n * BYTE : 0;
}

void pace_forgive(struct pace *p, const struct wheel *w)
{
    p->owed = 0;
    p->since_ms = w->ready_ms;
}

uint64_t pace_left(const struct pace *p, const struct wheel *w, uint64_t rate, uint64_t grace_ms)
{
    uint64_t owed = owed_now(p, w, rate), most = grace_ms * for_a_ms(rate);
    return owed >= most ? 0 : (most - owed + for_a_ms(rate) - 1) / for_a_ms(rate);
}
