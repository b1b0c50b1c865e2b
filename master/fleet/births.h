/* SPDX-License-Identifier: BSD-3-Clause */
/* births.h: which workers are wanted, and how a slot gets one: forked by us, or by the mold of its generation. */
#ifndef TINE_MASTER_FLEET_BIRTHS_H
#define TINE_MASTER_FLEET_BIRTHS_H

#include <stdbool.h>

struct fleet;
struct generation;
struct slot;

bool slot_is_current(const struct slot *slot);
bool slot_is_next(const struct slot *slot);
/* Its generation has to prove itself: a failure is reported, and nothing is tried again. */
bool slot_is_on_trial(const struct slot *slot);
/* A worker belongs into the slot: there is one, or it is due. */
bool slot_is_wanted(const struct slot *slot);
/* How many workers a generation may have now: the current one has one more while one is being replaced. */
unsigned fleet_wants(const struct fleet *fleet, const struct generation *generation);
/* The current generation has more than that. */
bool fleet_has_too_many(const struct fleet *fleet);

/* The slot, which is EMPTY, becomes free; reports a generation that has no slot left. */
void slot_give_back(struct slot *slot);
/* Starts a worker in the slot, which is EMPTY. 0, or -1: that failed and was logged; the slot may have been given back. */
int slot_fill(struct slot *slot);
/* The same when slot->backoff_ms has passed. */
void slot_fill_later(struct slot *slot);
/* Its time has come: starts a worker in it, or has it wait until fewer of its generation boot. */
void slot_fill_in_turn(struct slot *slot);
/* One that booted is READY, or gone: those that wait for that are started. May report boot_failed. */
void births_continue(struct fleet *fleet);
/* Starts workers of the current or the next generation until as many as are wanted serve, start or wait for their
 * back-off; about one for each core boots at a time, and births_continue() starts the others. May report boot_failed. */
void workers_fill(struct fleet *fleet, struct generation *generation);

#endif
