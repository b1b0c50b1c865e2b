/* SPDX-License-Identifier: BSD-3-Clause */
/* share.h: whether this worker has more connections than its share, by the scoreboard. */
#ifndef TINE_NET_SHARE_H
#define TINE_NET_SHARE_H

#include <stdbool.h>
#include <stdint.h>

struct score;
struct scoreboard;

struct share {
    const struct scoreboard *board;
    const struct score *own;
    uint64_t others; /* connections of the other workers that accept */
    unsigned workers; /* that accept, this one included */
    unsigned age;     /* looks since they were counted */
};

void share_init(struct share *share, const struct scoreboard *board, const struct score *own);
/* Counts anew; with many workers not at every call. */
void share_look(struct share *share);
/* By the last look. */
bool share_is_passed(const struct share *share);

#endif
