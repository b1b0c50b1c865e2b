/* SPDX-License-Identifier: BSD-3-Clause */
/* workers.h: what the master does to its workers, and what it does when something happens to one. */
#ifndef TINE_MASTER_FLEET_WORKERS_H
#define TINE_MASTER_FLEET_WORKERS_H

#include <stdbool.h>

#include "common/ipc.h"
#include "master/fleet/births.h"

struct fleet;
struct generation;
struct slot;

/* With the fleet's event base there. 0, or -1 with errno. */
int workers_init(struct fleet *fleet) __attribute__((warn_unused_result));

/* Asks one worker to stop: finish what is in flight (graceful_timeout), or close everything now. It is killed when it
 * takes longer. */
void worker_stop(struct slot *slot, bool quick);
/* Molds as well. */
void workers_stop_all(struct fleet *fleet, bool quick);
/* Kills them, and molds as well: nothing of theirs is waited for. */
void workers_kill_all(struct fleet *fleet);
/* Ends a generation that is neither current nor next any more, with its mold. */
void workers_stop_generation(struct fleet *fleet, struct generation *generation, bool quick);
/* Ends all workers of the current generation gracefully. */
void workers_end_current(struct fleet *fleet);
/* Gives the current generation as many workers as it wants now. */
void workers_fit(struct fleet *fleet);
/* To all that live; one that does not read its messages misses it. */
void workers_tell(struct fleet *fleet, enum ipc_type type);
/* To one. An order to end must arrive: where the channel takes no more, its end says the same as DRAIN, or a signal the same
 * as QUIT. */
void worker_tell(struct slot *slot, enum ipc_type type);
/* The level of the log, if that was changed: one that a mold has forked may have the old one. */
void worker_tell_level(const struct slot *slot);
/* To all, and to those that come; enum log_level. */
void workers_set_log_level(struct fleet *fleet, int level);

/* The process has ended with a status of waitpid(2). */
void worker_gone(struct slot *slot, int status);

#endif
