/* SPDX-License-Identifier: BSD-3-Clause */
/* slots.c: see slots.h. */
#include "master/fleet/slots.h"

#include <event2/event.h>
#include <stdlib.h>

#include "common/fatal.h"
#include "common/fdutil.h"
#include "common/log.h"
#include "master/fleet/generation.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 30000
/* It boots at least: somebody may be killing it, and capacity must be back within the second. */
#define BACKOFF_READY_MS 500
/* A life this long as READY was a healthy one. */
#define HEALTHY_MS 10000

static const char *const state_names[] = {
    [SLOT_EMPTY] = "EMPTY",       [SLOT_STARTING] = "STARTING", [SLOT_READY] = "READY",
    [SLOT_DRAINING] = "DRAINING", [SLOT_KILLED] = "KILLED",
};

/* States that may follow, as bits. Any living process may be gone at any time: EMPTY follows all.
 */
static const unsigned state_next[] = {
    [SLOT_EMPTY] = 1u << SLOT_STARTING,
    [SLOT_STARTING] = 1u << SLOT_READY | 1u << SLOT_DRAINING | 1u << SLOT_KILLED | 1u << SLOT_EMPTY,
    [SLOT_READY] = 1u << SLOT_DRAINING | 1u << SLOT_KILLED | 1u << SLOT_EMPTY,
    [SLOT_DRAINING] = 1u << SLOT_KILLED | 1u << SLOT_EMPTY,
    [SLOT_KILLED] = 1u << SLOT_EMPTY,
};

int slots_init(struct slots *slots, struct master *master)
{
    slots->v = calloc(SLOTS_MAX, sizeof(*slots->v));
    if (!slots->v)
        return -1;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        slots->v[i].master = master;
        slots->v[i].index = i;
        slots->v[i].ipc_fd = slots->v[i].stacks_fd = -1;
    }
    return 0;
}

void slots_done(struct slots *slots)
{
    for (unsigned i = 0; slots->v && i < SLOTS_MAX; i++) {
        struct slot *slot = &slots->v[i];
        if (event_initialized(&slot->timer))
            event_del(&slot->timer);
        if (event_initialized(&slot->ipc))
            event_del(&slot->ipc);
        if (event_initialized(&slot->stacks))
            event_del(&slot->stacks);
        fd_close(&slot->ipc_fd);
        fd_close(&slot->stacks_fd);
        buf_release(&slot->stacks_text);
    }
    free(slots->v);
    slots->v = NULL;
}

void slot_set_state(struct slot *slot, enum slot_state state)
{
    fatal_unless(state_next[slot->state] & 1u << state);
    log_debug("worker %u (pid %d): %s -> %s", slot->index + 1, (int)slot->pid, state_names[slot->state],
              state_names[state]);
    slot->state = state;
}

struct slot *slots_find(struct slots *slots, pid_t pid)
{
    for (unsigned i = 0; pid > 0 && i < SLOTS_MAX; i++)
        if (slots->v[i].pid == pid)
            return &slots->v[i];
    return NULL;
}

unsigned slots_count(const struct slots *slots, enum slot_state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        n += slots->v[i].state == state;
    return n;
}

unsigned slots_ready(const struct slots *slots, const struct generation *generation)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        n += slots->v[i].generation == generation && slots->v[i].state == SLOT_READY;
    return n;
}

unsigned slots_wanted(const struct slots *slots, const struct generation *generation)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        n += slots->v[i].generation == generation && !slots->v[i].leaves;
    return n;
}

struct slot *slots_take(struct slots *slots, struct generation *generation)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot *slot = &slots->v[i];
        if (slot->generation)
            continue;
        slot->generation = generation;
        slot->backoff_ms = 0;
        generation->n_slots++;
        return slot;
    }
    return NULL;
}

unsigned slots_free(const struct slots *slots)
{
    return slots_wanted(slots, NULL);
}

struct generation *slot_release(struct slot *slot)
{
    struct generation *generation = slot->generation;
    fatal_unless(slot->state == SLOT_EMPTY && generation && generation->n_slots);
    if (event_initialized(&slot->timer))
        event_del(&slot->timer);
    slot->generation = NULL;
    slot->leaves = false;
    generation->n_slots--;
    return generation;
}

unsigned slots_alive(const struct slots *slots)
{
    return SLOTS_MAX - slots_count(slots, SLOT_EMPTY);
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
    slot->ready_ms = 0;
    slot->main_interpreter = slot->failed = slot->asked = false;
    slot->recycle = slot->hung = slot->hasty = false;
}

unsigned slot_backoff(struct slot *slot, uint64_t now_ms)
{
    bool healthy = slot->ready_ms && now_ms - slot->ready_ms >= HEALTHY_MS;
    if (healthy || !slot->backoff_ms)
        slot->backoff_ms = BACKOFF_FIRST_MS;
    else if (slot->backoff_ms < BACKOFF_MOST_MS / 2)
        slot->backoff_ms *= 2;
    else
        slot->backoff_ms = BACKOFF_MOST_MS;
    if (slot->ready_ms && slot->backoff_ms > BACKOFF_READY_MS)
        slot->backoff_ms = BACKOFF_READY_MS;
    return slot->backoff_ms;
}
