/* SPDX-License-Identifier: BSD-3-Clause */
/* share.c: see share.h. Reads what other workers write without any order between them: a figure may be a moment old,
 * and a share is a goal, not a promise. */
#include "worker/net/share.h"

#include "common/scoreboard.h"

/* One that is a little above the average takes on: else all would stand aside in turns. A thirty-second is little
 * enough that, of four workers, the smallest share stays above three quarters of the largest. */
#define SLACK_PART 32
#define SLACK_LEAST 6ul
/* Counting touches a cache line of each worker. */
#define WORKERS_EACH_TIME 64
#define LOOKS_BETWEEN 16

void share_init(struct share *share, const struct scoreboard *board, const struct score *own)
{
    *share = (struct share){ .board = board, .own = own, .workers = 1, .age = LOOKS_BETWEEN };
}

void share_look(struct share *share)
{
    if (share->workers > WORKERS_EACH_TIME && share->age++ < LOOKS_BETWEEN)
        return;
    share->age = 0;
    share->workers = 1;
    share->others = 0;
    unsigned used = share->board ? atomic_load_explicit(&share->board->common->used, memory_order_relaxed) : 0;
    for (unsigned i = 0; i < used; i++) {
        const struct score *score = &share->board->slot[i];
        if (score == share->own || !atomic_load_explicit(&score->accepting, memory_order_relaxed))
            continue;
        share->workers++;
        share->others += atomic_load_explicit(&score->connections, memory_order_relaxed);
    }
}

bool share_is_passed(const struct share *share)
{
    uint64_t own = atomic_load_explicit(&share->own->connections, memory_order_relaxed);
    uint64_t all = share->others + own;
    return share->workers > 1 && own * share->workers > all + all / SLACK_PART + SLACK_LEAST * share->workers;
}
