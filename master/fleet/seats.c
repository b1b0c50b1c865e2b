/* SPDX-License-Identifier: BSD-3-Clause */
/* seats.c: which worker accepts from which seat, by way of the scoreboard. */
#include "master/fleet/seats.h"

#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

static bool is_taken(const struct fleet *fleet, const struct slot *by, unsigned seat)
{
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        const struct slot *slot = &fleet->slots.v[i];
        if (slot == by || slot->generation != by->generation || slot->state == SLOT_EMPTY || slot_leaves(slot) ||
            slot->farewell == SLOT_RECYCLE)
            continue;
        if (atomic_load_explicit(&fleet->scoreboard->slot[i].seat, memory_order_relaxed) == seat)
            return true;
    }
    return false;
}

void seats_give(const struct slot *slot)
{
    const struct fleet *fleet = slot->fleet;
    unsigned seat = 0;
    if (slot->generation->conf->server.accept != CONF_ACCEPT_REUSEPORT)
        return;
    while (is_taken(fleet, slot, seat))
        seat++;
    atomic_store_explicit(&fleet->scoreboard->slot[slot->index].seat, seat, memory_order_relaxed);
    if (!atomic_load_explicit(&fleet->scoreboard->common->seated, memory_order_relaxed))
        atomic_store_explicit(&fleet->scoreboard->common->seated, slot->generation->target, memory_order_relaxed);
}

bool seats_tick(struct fleet *fleet)
{
    _Atomic(uint32_t) *seated = &fleet->scoreboard->common->seated;
    unsigned target = fleet->current->target;
    if (fleet->current->conf->server.accept != CONF_ACCEPT_REUSEPORT ||
        atomic_load_explicit(seated, memory_order_relaxed) == target)
        return false;
    atomic_store_explicit(seated, target, memory_order_relaxed);
    return true;
}
