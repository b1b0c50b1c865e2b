/* SPDX-License-Identifier: BSD-3-Clause */
/* births.c: which workers are wanted, and how a slot gets one. Those of a generation boot a few at a time: many at once
 * take the cores from each other, and from those that serve, until none is ready within server.boot_timeout. */
#include "master/fleet/births.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/machine.h"
#include "conf/conf.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"
#include "master/fleet/mold.h"
#include "master/fleet/spawn.h"

bool slot_is_next(const struct slot *slot)
{
    return slot->generation == slot->fleet->next;
}

bool slot_is_current(const struct slot *slot)
{
    return slot->generation == slot->fleet->current;
}

bool slot_is_wanted(const struct slot *slot)
{
    const struct fleet *fleet = slot->fleet;
    return fleet->phase != FLEET_STOPPING && !slot_leaves(slot) &&
           ((slot_is_current(slot) && !fleet->paused) || slot_is_next(slot));
}

bool slot_is_on_trial(const struct slot *slot)
{
    return slot->fleet->phase == FLEET_BOOTING || slot_is_next(slot);
}

unsigned fleet_wants(const struct fleet *fleet, const struct generation *generation)
{
    if (generation == fleet->next)
        return roll_wants_next(fleet);
    bool spare = fleet->recycle.spare && slots_first_due(&fleet->slots, generation);
    return roll_wants_current(fleet) + spare;
}

bool fleet_has_too_many(const struct fleet *fleet)
{
    return slots_wanted(&fleet->slots, fleet->current) > fleet_wants(fleet, fleet->current);
}

void slot_give_back(struct slot *slot)
{
    const struct fleet *fleet = slot->fleet;
    mold_forget(slot);
    struct generation *generation = slot_release(slot);
    if (!generation->n_slots)
        fleet->events->emptied(fleet->arg, generation);
}

/* --- birth --- */

/* Even one core waits for files now and then. */
#define BOOTING_LEAST 2

/* Whether one more worker of the generation may boot. */
static bool has_room(const struct fleet *fleet, const struct generation *generation)
{
    unsigned n = 0, cores = machine_cores();
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        const struct slot *slot = &fleet->slots.v[i];
        n += slot->generation == generation && (slot->state == SLOT_STARTING || slot->order);
    }
    return n < (cores < BOOTING_LEAST ? BOOTING_LEAST : cores);
}

void slot_fill_later(struct slot *slot)
{
    unsigned ms = slot->backoff_ms;
    if (slot->early > 1)
        log_error("worker %u starts again in %u.%u s: it has ended within a second of being ready %u times in a row",
                  slot->index + 1, ms / 1000, ms % 1000 / 100, slot->early);
    else
        log_info("worker %u starts again in %u.%u s", slot->index + 1, ms / 1000, ms % 1000 / 100);
    slot_arm(slot, ms);
}

/* 0, or -1: it could not be started now; the slot may have been released. */
int slot_fill(struct slot *slot)
{
    const struct fleet *fleet = slot->fleet;
    struct generation *generation = slot->generation;
    if ((generation->conf->app.preload_app ? mold_ask(slot) : spawn_worker(slot)) == 0)
        return 0;
    if (slot_is_on_trial(slot)) {
        slot_give_back(slot);
        fleet->events->boot_failed(fleet->arg, generation, BOOT_NOT_STARTED, "a worker could not be started");
    } else {
        slot_backoff(slot, clock_ms(), false);
        slot_fill_later(slot);
    }
    return -1;
}

void slot_fill_in_turn(struct slot *slot)
{
    slot->waits = !has_room(slot->fleet, slot->generation);
    if (!slot->waits)
        slot_fill(slot);
}

/* Before the first birth of a generation. */
static void recall_verdict(const struct fleet *fleet, struct generation *generation)
{
    if (generation->verdict.state != VERDICT_NEW)
        return;
    char *why = verdicts_find(&fleet->verdicts, generation->conf);
    verdict_recall(&generation->verdict, why);
    free(why);
}

void workers_fill(struct fleet *fleet, struct generation *generation)
{
    static const char full[] = "no slot is free for another worker";
    if (fleet->phase == FLEET_STOPPING || (fleet->paused && generation == fleet->current))
        return;
    recall_verdict(fleet, generation);
    unsigned target = fleet_wants(fleet, generation);
    for (unsigned n = slots_wanted(&fleet->slots, generation); n < target && has_room(fleet, generation); n++) {
        struct slot *slot = slots_take(&fleet->slots, generation);
        if (!slot) {
            log_error("%s", full);
            if (generation == fleet->next)
                fleet->events->boot_failed(fleet->arg, generation, BOOT_NOT_STARTED, full);
            return;
        }
        if (slot_fill(slot) < 0)
            return;
    }
}

/* False: no more now. */
static bool fill_waiting(struct slot *slot)
{
    if (!slot->waits || !slot_is_wanted(slot) || !has_room(slot->fleet, slot->generation))
        return true;
    slot->waits = false;
    return slot_fill(slot) == 0;
}

void births_continue(struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (!fill_waiting(&fleet->slots.v[i]))
            return;
    workers_fill(fleet, fleet->current);
    if (fleet->next)
        workers_fill(fleet, fleet->next);
}
