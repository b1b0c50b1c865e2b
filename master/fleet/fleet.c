/* SPDX-License-Identifier: BSD-3-Clause */
/* fleet.c: the whole of the fleet: its birth and end, and to which part an ended child belongs. */
#include "master/fleet/fleet.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/scoreboard.h"
#include "common/tickets.h"
#include "master/fleet/workers.h"

int fleet_init(struct fleet *fleet, struct event_base *base, const struct fleet_events *events, void *arg)
{
    fleet->base = base;
    fleet->events = events;
    fleet->arg = arg;
    LIST_INIT(&fleet->verdicts.all);
    fleet->watchdog.looked_ns = clock_ns();
    fleet->scoreboard = scoreboard_new(SLOTS_MAX);
    fleet->tickets = tickets_new();
    fleet->limits = limits_new(SLOTS_MAX);
    return fleet->scoreboard && fleet->tickets && fleet->limits ? workers_init(fleet) : -1;
}

void fleet_done(struct fleet *fleet)
{
    stacks_cancel(&fleet->stacks);
    slots_done(&fleet->slots);
    verdicts_done(&fleet->verdicts);
    scoreboard_free(fleet->scoreboard);
    tickets_free(fleet->tickets);
    limits_free(fleet->limits);
    fleet->scoreboard = NULL;
    fleet->tickets = NULL;
    fleet->limits = NULL;
}

bool fleet_collect(struct fleet *fleet, pid_t pid, int status)
{
    struct slot *slot = slots_find(&fleet->slots, pid);
    if (!slot) {
        /* The mold may have reported it in a message that has not been read yet. */
        molds_listen(fleet);
        slot = slots_find(&fleet->slots, pid);
    }
    if (slot)
        worker_gone(slot, status);
    return slot || molds_collect(fleet, pid, status);
}

bool fleet_lives(const struct fleet *fleet)
{
    return slots_alive(&fleet->slots) || molds_alive(fleet);
}

void fleet_tell(struct fleet *fleet, enum ipc_type type)
{
    workers_tell(fleet, type);
    molds_tell(fleet, type);
}
