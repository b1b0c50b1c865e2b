/* SPDX-License-Identifier: BSD-3-Clause */
/* watchdog.c: see watchdog.h. A silent worker is reported first (its requests from the scoreboard,
 * the stacks of its threads by its own signal handler, which needs neither its loop nor the GIL)
 * and killed a moment later. Boot is not watched: boot_timeout has it, as graceful_timeout has
 * draining.
 */
#include "master/fleet/watchdog.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/generation.h"
#include "master/master.h"
#include "master/fleet/stacks.h"
#include "master/fleet/workers.h"

#define STACKS_MS 1000 /* for writing its stacks, before SIGKILL */
#define NS_PER_MS 1000000u

/* Silent for how long. */
static uint64_t silence_ms(const struct slot *slot, uint64_t now)
{
    const struct master *master = slot->master;
    uint64_t beat = atomic_load_explicit(&master->scoreboard->slot[slot->index].heartbeat_ns, memory_order_relaxed);
    uint64_t ready = slot->ready_ms * NS_PER_MS;
    if (beat < ready)
        beat = ready;
    if (beat < master->watchdog.since_ns)
        beat = master->watchdog.since_ns;
    return now > beat ? (now - beat) / NS_PER_MS : 0;
}

static void log_requests(const struct slot *slot, uint64_t now)
{
    struct score *score = &slot->master->scoreboard->slot[slot->index];
    struct score_request found[SCORE_REQUESTS];
    unsigned n = score_read_requests(score, found);
    for (unsigned i = 0; i < n; i++)
        log_error("worker %u (pid %d) has held a request of %s for %.1f s: %s", slot->index + 1, (int)slot->pid,
                  *found[i].client ? found[i].client : "a local client", (double)(now - found[i].started_ns) / 1e9,
                  found[i].line);
    unsigned all = atomic_load_explicit(&score->inflight, memory_order_relaxed);
    if (all > n)
        log_error("worker %u (pid %d) holds %u more", slot->index + 1, (int)slot->pid, all - n);
}

static void report(struct slot *slot, uint64_t silent, uint64_t now)
{
    slot->hung = true;
    slot->master->tally.hung++;
    log_error("worker %u (pid %d) gave no sign of life for %.1f s (server.timeout): its stacks "
              "follow, then it is killed",
              slot->index + 1, (int)slot->pid, (double)silent / 1000.0);
    log_requests(slot, now);
    stacks_to_log(slot);
    slot_arm(slot, STACKS_MS);
}

static bool is_watched(const struct slot *slot)
{
    return slot->state == SLOT_READY && !slot->hung && slot->generation->conf->server.timeout;
}

/* While some worker is well, or none has to be. */
static void tell_manager(struct master *master, unsigned well, uint64_t now)
{
    uint64_t every = master->notify.watchdog_us * 1000 / 3;
    bool excused = master->paused || master->state == MASTER_STARTING || master->state == MASTER_STOPPING;
    if (!every || now - master->watchdog.told_ns < every || (!well && !excused))
        return;
    master->watchdog.told_ns = now;
    notify_send(&master->notify, "WATCHDOG=1");
}

void watchdog_look(struct master *master)
{
    struct watchdog *watchdog = &master->watchdog;
    uint64_t now = clock_ns();
    unsigned well = 0;
    /* We were stopped or starved ourselves, and so perhaps were the workers: no blame for that
     * time.
     */
    if (now - watchdog->looked_ns > 4ull * WATCHDOG_TICK_MS * NS_PER_MS)
        watchdog->since_ns = now;
    watchdog->looked_ns = now;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot *slot = &master->slots.v[i];
        if (!slot->generation || slot->state != SLOT_READY)
            continue;
        uint64_t silent = is_watched(slot) ? silence_ms(slot, now) : 0;
        if (silent && silent > slot->generation->conf->server.timeout)
            report(slot, silent, now);
        well += !slot->hung;
    }
    tell_manager(master, well, now);
}
