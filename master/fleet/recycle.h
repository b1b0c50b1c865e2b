/* SPDX-License-Identifier: BSD-3-Clause */
/* recycle.h: replaces workers that have served long enough, one at a time: the replacement is READY
 * before the old one drains. */
#ifndef TINE_MASTER_RECYCLE_H
#define TINE_MASTER_RECYCLE_H

struct master;
struct slot;

/* Marks workers that are past server.max_worker_lifetime or max_worker_memory. Once a tick. */
void recycle_look(struct master *master);
/* The worker asks for it, with the reason. */
void recycle_ask(struct slot *slot, const char *why);
/* The next step, if one is due: a replacement is started, or the old one drained. Cheap; to be
 * called whenever a worker is ready or gone. */
void recycle_step(struct master *master);
/* How many workers the current generation may have just now: one above its target while one is
 * being replaced. */
unsigned recycle_target(const struct master *master);

#endif
