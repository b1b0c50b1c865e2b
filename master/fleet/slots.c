/* SPDX-License-Identifier: BSD-3-Clause */
/* slots.c: the states of workers, their farewells, and the steps that are allowed between them. */
#include "master/fleet/slots.h"

#include <event2/event.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/fatal.h"
#include "common/fdutil.h"
#include "common/log.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 30000
/* It boots fine, so a short back-off: something keeps killing it and we want the capacity back. */
#define BACKOFF_READY_MS 500
/* A life this long as READY was a healthy one. */
#define HEALTHY_MS 10000

#define BIT(state) (1u << (state))

static const char *const state_names[] = {
    [SLOT_EMPTY] = "EMPTY",       [SLOT_STARTING] = "STARTING", [SLOT_READY] = "READY",
    [SLOT_DRAINING] = "DRAINING", [SLOT_KILLED] = "KILLED",
};

/* States that may follow. Any living process may be gone at any time: EMPTY follows all. */
static const unsigned state_next[] = {
    [SLOT_EMPTY] = BIT(SLOT_STARTING),
    [SLOT_STARTING] = BIT(SLOT_READY) | BIT(SLOT_DRAINING) | BIT(SLOT_KILLED) | BIT(SLOT_EMPTY),
    [SLOT_READY] = BIT(SLOT_DRAINING) | BIT(SLOT_KILLED) | BIT(SLOT_EMPTY),
    [SLOT_DRAINING] = BIT(SLOT_KILLED) | BIT(SLOT_EMPTY),
    [SLOT_KILLED] = BIT(SLOT_EMPTY),
};

/* Farewells that may follow within a life; only the end of the life leads back to SLOT_STAYS. */
static const unsigned farewell_next[] = {
    [SLOT_STAYS] = BIT(SLOT_RECYCLE) | BIT(SLOT_HUNG) | BIT(SLOT_SELF) | BIT(SLOT_ASKED) | BIT(SLOT_HASTY),
    [SLOT_RECYCLE] = BIT(SLOT_HUNG) | BIT(SLOT_SELF) | BIT(SLOT_ASKED) | BIT(SLOT_HASTY),
    [SLOT_HUNG] = BIT(SLOT_HUNG_ASKED) | BIT(SLOT_SELF),
    [SLOT_SELF] = BIT(SLOT_ASKED) | BIT(SLOT_HASTY),
    [SLOT_ASKED] = BIT(SLOT_ASKED) | BIT(SLOT_HUNG_ASKED),
    [SLOT_HASTY] = BIT(SLOT_ASKED),
    [SLOT_HUNG_ASKED] = BIT(SLOT_HUNG_ASKED),
};

int slots_init(struct slots *slots, struct fleet *fleet, const struct slot_events *on)
{
    *slots = (struct slots){ .fleet = fleet, .on = on, .v = calloc(SLOTS_MAX, sizeof(*slots->v)) };
    return slots->v ? 0 : -1;
}

void slots_done(struct slots *slots)
{
    for (unsigned i = 0; slots->v && i < slots->n; i++) {
        struct slot *slot = &slots->v[i];
        event_del(&slot->timer);
        if (slot->ipc_fd >= 0)
            event_del(&slot->ipc);
        if (slot->stacks_fd >= 0)
            event_del(&slot->stacks);
        fd_close(&slot->ipc_fd);
        fd_close(&slot->stacks_fd);
        buf_release(&slot->stacks_text);
        free(slot->failure);
    }
    free(slots->v);
    slots->v = NULL;
}

/* --- states --- */

void slot_set_state(struct slot *slot, enum slot_state state)
{
    fatal_unless(state_next[slot->state] & BIT(state));
    log_debug("worker %u (pid %d): %s -> %s", slot->index + 1, (int)slot->pid, state_names[slot->state],
              state_names[state]);
    slot->state = state;
}

void slot_set_farewell(struct slot *slot, enum slot_farewell farewell)
{
    fatal_unless(farewell_next[slot->farewell] & BIT(farewell));
    slot->farewell = farewell;
}

bool slot_leaves(const struct slot *slot)
{
    return slot->farewell >= SLOT_SELF;
}

bool slot_was_asked(const struct slot *slot)
{
    return slot->farewell >= SLOT_ASKED;
}

bool slot_is_hung(const struct slot *slot)
{
    return slot->farewell == SLOT_HUNG || slot->farewell == SLOT_HUNG_ASKED;
}

bool slot_serves(const struct slot *slot, const struct generation *generation)
{
    return slot->generation == generation && slot->state == SLOT_READY && !slot_leaves(slot);
}

/* --- the table --- */

struct slot *slots_find(struct slots *slots, pid_t pid)
{
    for (unsigned i = 0; pid > 0 && i < slots->n; i++)
        if (slots->v[i].pid == pid)
            return &slots->v[i];
    return NULL;
}

unsigned slots_count(const struct slots *slots, enum slot_state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < slots->n; i++)
        n += slots->v[i].state == state;
    return n;
}

unsigned slots_ready(const struct slots *slots, const struct generation *generation)
{
    unsigned n = 0;
    for (unsigned i = 0; i < slots->n; i++)
        n += slots->v[i].generation == generation && slots->v[i].state == SLOT_READY;
    return n;
}

unsigned slots_wanted(const struct slots *slots, const struct generation *generation)
{
    unsigned n = 0;
    for (unsigned i = 0; i < slots->n; i++)
        n += slots->v[i].generation == generation && !slot_leaves(&slots->v[i]);
    return n;
}

/* The first time that one is used; memory of one that never is, is never touched. */
static struct slot *first_use(struct slots *slots)
{
    unsigned i = slots->n++;
    struct slot *slot = &slots->v[i];
    slot->fleet = slots->fleet;
    slot->index = i;
    slot->ipc_fd = slot->stacks_fd = -1;
    evtimer_assign(&slot->timer, slots->fleet->base, slots->on->timer, slot);
    return slot;
}

static struct slot *find_free(struct slots *slots)
{
    for (unsigned i = 0; i < slots->n; i++)
        if (!slots->v[i].generation)
            return &slots->v[i];
    return slots->n < SLOTS_MAX ? first_use(slots) : NULL;
}

struct slot *slots_take(struct slots *slots, struct generation *generation)
{
    struct slot *slot = find_free(slots);
    if (!slot)
        return NULL;
    slot->generation = generation;
    slot->backoff_ms = slot->early = 0;
    generation->n_slots++;
    return slot;
}

unsigned slots_free(const struct slots *slots)
{
    return SLOTS_MAX - slots->n + slots_wanted(slots, NULL);
}

struct generation *slot_release(struct slot *slot)
{
    struct generation *generation = slot->generation;
    fatal_unless(slot->state == SLOT_EMPTY && generation && generation->n_slots);
    event_del(&slot->timer);
    slot->generation = NULL;
    slot->waits = slot->proved = false;
    slot->farewell = SLOT_STAYS;
    generation->n_slots--;
    return generation;
}

struct slot *slots_first_due(const struct slots *slots, const struct generation *generation)
{
    for (unsigned i = 0; i < slots->n; i++)
        if (slots->v[i].farewell == SLOT_RECYCLE && slot_serves(&slots->v[i], generation))
            return &slots->v[i];
    return NULL;
}

struct slot *slots_least_wanted(const struct slots *slots, const struct generation *generation)
{
    struct slot *found = slots_first_due(slots, generation), *last = NULL;
    for (unsigned i = slots->n; !found && i-- > 0;) {
        struct slot *slot = &slots->v[i];
        if (slot->generation != generation || slot_leaves(slot))
            continue;
        if (slot->state != SLOT_READY)
            found = slot;
        else if (!last)
            last = slot;
    }
    return found ? found : last;
}

unsigned slots_alive(const struct slots *slots)
{
    return slots->n - slots_count(slots, SLOT_EMPTY);
}

/* --- a life --- */

int slot_listen(struct slot *slot)
{
    struct event_base *base = slot->fleet->base;
    const struct slot_events *on = slot->fleet->slots.on;
    const short what = EV_READ | EV_PERSIST;
    if (event_assign(&slot->stacks, base, slot->stacks_fd, what, on->stacks, slot) < 0 ||
        event_assign(&slot->ipc, base, slot->ipc_fd, what, on->ipc, slot) < 0 || event_add(&slot->ipc, NULL) < 0)
        return -1;
    return event_add(&slot->stacks, NULL);
}

void slot_arm(struct slot *slot, uint64_t ms)
{
    struct timeval tv = timeval_of_ms(ms);
    evtimer_add(&slot->timer, &tv);
}

void slot_clear(struct slot *slot)
{
    event_del(&slot->timer);
    if (slot->ipc_fd >= 0)
        event_del(&slot->ipc);
    if (slot->stacks_fd >= 0)
        event_del(&slot->stacks);
    fd_close(&slot->ipc_fd);
    fd_close(&slot->stacks_fd);
    slot_set_state(slot, SLOT_EMPTY);
    slot->pid = 0;
    slot->ready_ms = slot->quit_ms = 0;
    slot->main_interpreter = slot->failure_logged = slot->due_by_limit = slot->refused = false;
    free(slot->failure);
    slot->failure = NULL;
    if (!slot_leaves(slot))
        slot->farewell = SLOT_STAYS;
}

unsigned slot_backoff(struct slot *slot, uint64_t now_ms, bool answered)
{
    uint64_t lived = slot->ready_ms ? now_ms - slot->ready_ms : 0;
    slot->early = slot->ready_ms && lived < WORKER_PROOF_MS ? slot->early + 1 : 0;
    bool was_of_use = slot->ready_ms && (answered || lived >= WORKER_PROOF_MS);
    if (lived >= HEALTHY_MS || !slot->backoff_ms)
        slot->backoff_ms = BACKOFF_FIRST_MS;
    else if (slot->backoff_ms < BACKOFF_MOST_MS / 2)
        slot->backoff_ms *= 2;
    else
        slot->backoff_ms = BACKOFF_MOST_MS;
    if (was_of_use && slot->backoff_ms > BACKOFF_READY_MS)
        slot->backoff_ms = BACKOFF_READY_MS;
    return slot->backoff_ms;
}
