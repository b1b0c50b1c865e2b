/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_budget.h: what a peer may ask of us in vain: a bucket of tokens that fills up again with time. Pure. */
#ifndef TINE_HTTP_H2_BUDGET_H
#define TINE_HTTP_H2_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct h2_budget {
    uint32_t most;       /* at the start, and at any time */
    uint32_t per_second; /* what comes back */
    uint32_t spent;
    uint32_t earned;     /* beyond that; taken first */
    uint64_t at_ms;      /* when `spent` was true */
};

/* Takes n. False: there are not so many left. */
static inline bool h2_spend(struct h2_budget *b, uint32_t n, uint64_t now_ms)
{
    uint64_t back = (now_ms - b->at_ms) * b->per_second / 1000;
    if (back) {
        b->spent = back < b->spent ? b->spent - (uint32_t)back : 0;
        b->at_ms = now_ms;
    }
    uint32_t earned = n < b->earned ? n : b->earned;
    if (b->spent + n - earned > b->most)
        return false;
    b->earned -= earned;
    b->spent += n - earned;
    return true;
}

/* The peer has brought or taken something of worth: n more, up to `most` beyond what there is from the start. */
static inline void h2_earn(struct h2_budget *b, uint32_t n, uint32_t most)
{
    b->earned = b->earned + n < most ? b->earned + n : most;
}

#endif
