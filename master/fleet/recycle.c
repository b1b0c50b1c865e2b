/* SPDX-License-Identifier: BSD-3-Clause */
/* recycle.c: which step is due follows from how many workers are wanted, alive and marked, so a death or a reload at any
 * moment leaves nothing to be put right. */
#include "master/fleet/recycle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/log.h"
#include "common/machine.h"
#include "conf/conf.h"
#include "conf/conf_number.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"
#include "master/fleet/workers.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MOST_MS 30000
/* A burst of requests may use up server.max_requests this often in a row before replacements are held back. A limit of
 * time or memory that is too low for one worker is too low for the next one as well. */
#define SHORT_LIVES_MOST 10
/* The memory limit of a control group may change, seldom. */
#define MEMORY_LOOK_MS 10000

/* It was due sooner than a worker takes to boot, or within a second: more is spent on starting than on serving. */
static bool was_short(const struct slot *slot)
{
    uint64_t served = slot->due_ms - slot->ready_ms, booted = slot->ready_ms - slot->started_ms;
    return served < WORKER_PROOF_MS || served < booted;
}

static void mark(struct slot *slot, const char *why)
{
    slot_set_farewell(slot, SLOT_RECYCLE);
    slot->due_ms = clock_ms();
    slot->fleet->counters.recycled++;
    if (slot->due_by_limit && was_short(slot))
        log_error("worker %u (pid %d) is to be replaced: %s, %.1f s after it was ready, which took %.1f s: a limit is "
                  "too low",
                  slot->index + 1, (int)slot->pid, why, (double)(slot->due_ms - slot->ready_ms) / 1000.0,
                  (double)(slot->ready_ms - slot->started_ms) / 1000.0);
    else
        log_info("worker %u (pid %d) is to be replaced: %s", slot->index + 1, (int)slot->pid, why);
}

void recycle_ask(struct slot *slot, const char *why)
{
    if (slot->state == SLOT_READY && slot->farewell == SLOT_STAYS)
        mark(slot, why);
}

/* --- steps --- */

/* The replacement of the slot's worker begins: decides when the next one may. */
static void pace(struct fleet *fleet, const struct slot *slot, uint64_t now)
{
    struct recycle *recycle = &fleet->recycle;
    unsigned twice = recycle->backoff_ms * 2;
    if (!was_short(slot)) {
        recycle->short_lives = recycle->backoff_ms = 0;
        return;
    }
    if (slot->due_by_limit || ++recycle->short_lives > SHORT_LIVES_MOST)
        recycle->backoff_ms = !twice ? BACKOFF_FIRST_MS : twice < BACKOFF_MOST_MS ? twice : BACKOFF_MOST_MS;
    if (!recycle->backoff_ms)
        return;
    recycle->not_before_ms = now + recycle->backoff_ms;
    fleet->counters.held_back++;
    log_error("workers are replaced too often: the next replacement begins in %u s at the earliest",
              recycle->backoff_ms / 1000);
}

void recycle_step(struct fleet *fleet)
{
    struct recycle *recycle = &fleet->recycle;
    struct generation *current = fleet->current;
    struct slot *slot = slots_first_due(&fleet->slots, current);
    uint64_t now = clock_ms();
    if (!slot || roll_lingering(fleet)) {
        recycle->spare = false;
    } else if (slots_ready(&fleet->slots, current) > current->target) {
        recycle->spare = false;
        worker_stop(slot, false);
    } else if (recycle->spare || now >= recycle->not_before_ms) {
        if (!recycle->spare)
            pace(fleet, slot, now);
        recycle->spare = true;
        workers_fill(fleet, current);
    }
}

/* --- workers in an interpreter that their application turned out not to work in --- */

static void leave_sub_interpreters(struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        struct slot *slot = &fleet->slots.v[i];
        if (slot->farewell == SLOT_STAYS && slot_serves(slot, fleet->current) && !slot->main_interpreter)
            mark(slot, "it lives in a sub-interpreter");
    }
}

/* --- limits --- */

/* Resident bytes; 0: unknown. */
static uint64_t memory_of(pid_t pid)
{
    char path[32], text[128];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    uint64_t pages = 0;
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes no number out of range
    return sscanf(text, "%*u %" SCNu64, &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Bytes that a worker may have; 0: any. */
static uint64_t memory_limit(struct fleet *fleet, uint64_t value)
{
    unsigned percent = conf_memory_percent(value), workers = fleet->current->target;
    uint64_t now = clock_ms();
    if (!percent)
        return value;
    if (!fleet->recycle.memory_ms || now - fleet->recycle.memory_ms > MEMORY_LOOK_MS) {
        fleet->recycle.memory = machine_memory();
        fleet->recycle.memory_ms = now;
    }
    return fleet->recycle.memory / 100 * percent / (workers ? workers : 1);
}

static void check(struct slot *slot, const struct conf_server *conf)
{
    char why[128];
    uint64_t limit = memory_limit(slot->fleet, conf->max_worker_memory), memory = limit ? memory_of(slot->pid) : 0;
    if (conf->max_worker_lifetime && clock_ms() - slot->ready_ms >= conf->max_worker_lifetime)
        snprintf(why, sizeof(why), "it has served for %.3g s (server.max_worker_lifetime)",
                 (double)conf->max_worker_lifetime / 1000.0);
    else if (memory > limit)
        snprintf(why, sizeof(why), "it has %" PRIu64 " MB (server.max_worker_memory is %" PRIu64 " MB)", memory >> 20,
                 limit >> 20);
    else
        return;
    slot->due_by_limit = true;
    mark(slot, why);
}

void recycle_tick(struct fleet *fleet)
{
    const struct conf_server *conf = &fleet->current->conf->server;
    if (generation_lives_in_main(fleet->current))
        leave_sub_interpreters(fleet);
    if (!conf->max_worker_lifetime && !conf->max_worker_memory)
        return;
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        struct slot *slot = &fleet->slots.v[i];
        if (slot->farewell == SLOT_STAYS && slot_serves(slot, fleet->current))
            check(slot, conf);
    }
}
