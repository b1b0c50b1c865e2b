/* SPDX-License-Identifier: BSD-3-Clause */
/* nudge.h: a safety net under accepting. The kernel tells one sleeping worker of a new connection;
 * if that one is stopped or dies in this very moment, nobody else hears of it. */
#ifndef TINE_MASTER_NUDGE_H
#define TINE_MASTER_NUDGE_H

#include <stdbool.h>

struct master;

struct nudge {
    bool waited; /* at the last look somebody was in a queue of a listening socket */
};

/* Tells all workers to look themselves when somebody has waited from one look to the next. Once a
 * tick. */
void nudge_look(struct master *master);

#endif
