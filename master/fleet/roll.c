/* SPDX-License-Identifier: BSD-3-Clause */
/* roll.c: how many workers the generations may have while one rolls in, or back. */
#include "master/fleet/roll.h"

#include "common/scoreboard.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

unsigned roll_lingering(const struct fleet *fleet)
{
    unsigned n = 0;
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        const struct slot *slot = &fleet->slots.v[i];
        n += slot->generation && slot->generation->lingers && slot->state != SLOT_EMPTY;
    }
    return n;
}

/* Whether one more worker may start: of all that are there, start, leave or are due there is one too many at most. */
static bool has_room(const struct fleet *fleet)
{
    unsigned now = fleet->current->target, next = fleet->next->target;
    return SLOTS_MAX - slots_free(&fleet->slots) <= (now > next ? now : next);
}

unsigned roll_wants_next(const struct fleet *fleet)
{
    const struct roll *roll = &fleet->roll;
    unsigned target = fleet->next->target, n = roll->proved + has_room(fleet);
    return roll->on && n < target ? n : target;
}

bool roll_counts_on(const struct slot *slot)
{
    return slot->proved && slot->state == SLOT_READY && !slot_leaves(slot) &&
           (slot->generation == slot->fleet->next || slot->generation->lingers);
}

/* Of those that linger. */
static unsigned serving_on(const struct fleet *fleet)
{
    unsigned n = 0;
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        const struct slot *slot = &fleet->slots.v[i];
        n += slot->generation && slot->generation->lingers && roll_counts_on(slot);
    }
    return n;
}

unsigned roll_wants_current(const struct fleet *fleet)
{
    const struct roll *roll = &fleet->roll;
    unsigned target = fleet->current->target, lingering = roll->on ? serving_on(fleet) : roll_lingering(fleet);
    unsigned others = lingering + roll->proved;
    unsigned n = target > others ? target - others : 0;
    return n + (lingering && !roll->on && !scoreboard_leaves(fleet->scoreboard) && n < target);
}

unsigned roll_ready(const struct fleet *fleet)
{
    unsigned n = slots_ready(&fleet->slots, fleet->current);
    for (unsigned i = 0; i < fleet->slots.n; i++)
        n += fleet->slots.v[i].generation && roll_counts_on(&fleet->slots.v[i]);
    return n;
}
