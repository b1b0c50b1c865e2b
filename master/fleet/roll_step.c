/* SPDX-License-Identifier: BSD-3-Clause */
/* roll_step.c: which worker leaves when one of another generation has taken its place. */
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"
#include "master/fleet/workers.h"

void roll_begin(struct fleet *fleet)
{
    fleet->roll = (struct roll){ .on = true };
    fleet->recycle.spare = false; /* one more than that would be one too many */
    workers_fit(fleet);
}

bool roll_has_news(const struct fleet *fleet)
{
    return slots_ready(&fleet->slots, fleet->next) > fleet->roll.proved;
}

static void mark_proved(struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (slot_serves(&fleet->slots.v[i], fleet->next))
            fleet->slots.v[i].proved = true;
}

static struct slot *first_lingering(const struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (fleet->slots.v[i].generation && fleet->slots.v[i].generation->lingers && roll_counts_on(&fleet->slots.v[i]))
            return &fleet->slots.v[i];
    return NULL;
}

static unsigned seat_of(const struct slot *slot)
{
    return atomic_load_explicit(&slot->fleet->scoreboard->slot[slot->index].seat, memory_order_relaxed);
}

/* With server.accept = reuseport: a worker that serves accepts from the same socket. */
static bool seat_is_taken(const struct slot *slot)
{
    const struct fleet *fleet = slot->fleet;
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (slot_serves(&fleet->slots.v[i], fleet->next) && seat_of(&fleet->slots.v[i]) == seat_of(slot))
            return true;
    return false;
}

/* Of the current generation: one that is due for replacement anyway, or one whose seat is taken. NULL: none serves. */
static struct slot *whose_turn(const struct fleet *fleet)
{
    bool seats = fleet->current->conf->server.accept == CONF_ACCEPT_REUSEPORT;
    struct slot *found = seats ? NULL : slots_first_due(&fleet->slots, fleet->current);
    for (unsigned i = fleet->slots.n; !found && i-- > 0;)
        if (slot_serves(&fleet->slots.v[i], fleet->current) && (!seats || seat_is_taken(&fleet->slots.v[i])))
            found = &fleet->slots.v[i];
    return found;
}

void roll_forward(struct fleet *fleet)
{
    mark_proved(fleet);
    fleet->roll.proved = slots_ready(&fleet->slots, fleet->next);
    log_info("reload: %u of %u workers of generation %u serve", fleet->roll.proved, fleet->next->target,
             fleet->next->number);
    struct slot *lingering = first_lingering(fleet);
    struct slot *leaves = lingering ? lingering : whose_turn(fleet);
    if (leaves)
        worker_stop(leaves, false);
    workers_fit(fleet);
    if (fleet->next)
        workers_fill(fleet, fleet->next);
}

static void end_lingering(struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        struct generation *generation = fleet->slots.v[i].generation;
        if (!generation || !generation->lingers)
            continue;
        generation->lingers = false;
        workers_stop_generation(fleet, generation, false);
    }
}

void roll_end(struct fleet *fleet)
{
    fleet->roll = (struct roll){ 0 };
    end_lingering(fleet);
}

bool roll_give_up(struct fleet *fleet, struct generation *failed)
{
    bool some = fleet->roll.proved;
    fleet->roll = (struct roll){ 0 };
    if (some)
        end_lingering(fleet);
    failed->lingers = some;
    return some;
}

void roll_step(struct fleet *fleet)
{
    if (fleet->roll.on || scoreboard_leaves(fleet->scoreboard) || fleet->phase == FLEET_STOPPING)
        return;
    struct slot *lingering = first_lingering(fleet);
    if (lingering && roll_ready(fleet) > fleet->current->target)
        worker_stop(lingering, false);
}
