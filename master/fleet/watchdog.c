/* SPDX-License-Identifier: BSD-3-Clause */
/* watchdog.c: a silent worker is reported first (its requests from the scoreboard, the stacks of its threads by its own
 * signal handler, which needs neither its loop nor the GIL) and killed a moment later. Workers that boot or drain are
 * not watched: boot_timeout and graceful_timeout limit those. */
#include "master/fleet/watchdog.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/heritage.h"
#include "common/log.h"
#include "common/redact.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

#define STACKS_MS 1000 /* for writing its stacks, before SIGKILL */
#define LONGEST_PROOF_MS 10000
#define NS_PER_MS 1000000u

static uint64_t silence_ms(const struct slot *slot, uint64_t now)
{
    const struct fleet *fleet = slot->fleet;
    const struct score *score = &fleet->scoreboard->slot[slot->index];
    uint64_t beat = atomic_load_explicit(&score->heartbeat_ns, memory_order_relaxed);
    uint64_t ready = slot->ready_ms * NS_PER_MS;
    if (beat < ready)
        beat = ready;
    if (beat < fleet->watchdog.since_ns)
        beat = fleet->watchdog.since_ns;
    return now > beat ? (now - beat) / NS_PER_MS : 0;
}

uint64_t watchdog_silence_ms(const struct slot *slot)
{
    return silence_ms(slot, clock_ns());
}

static void log_requests(const struct slot *slot, uint64_t now)
{
    struct score *score = &slot->fleet->scoreboard->slot[slot->index];
    struct score_request found[SCORE_REQUESTS];
    const struct conf_list *hidden = &slot->generation->conf->log.redact;
    unsigned n = score_read_requests(score, found);
    for (unsigned i = 0; i < n; i++) {
        char line[SCORE_LINE];
        size_t length = redact(line, sizeof(line), span_of(found[i].line), hidden->v, hidden->n);
        log_error("worker %u (pid %d) has held a request of %s for %.1f s: %.*s", slot->index + 1, (int)slot->pid,
                  *found[i].client ? found[i].client : "a local client", (double)(now - found[i].started_ns) / 1e9,
                  (int)length, line);
    }
    unsigned all = atomic_load_explicit(&score->inflight, memory_order_relaxed);
    if (all > n)
        log_error("worker %u (pid %d) holds %u more", slot->index + 1, (int)slot->pid, all - n);
}

static void report_hang(struct slot *slot, uint64_t silent, uint64_t now)
{
    slot_set_farewell(slot, SLOT_HUNG);
    slot->fleet->counters.hung++;
    log_error(
        "worker %u (pid %d) gave no sign of life for %.1f s (server.timeout): its stacks follow, then it is killed",
        slot->index + 1, (int)slot->pid, (double)silent / 1000.0);
    log_requests(slot, now);
    stacks_to_log(slot);
    slot_arm(slot, STACKS_MS);
}

unsigned watchdog_tick(struct fleet *fleet)
{
    struct watchdog *watchdog = &fleet->watchdog;
    uint64_t now = clock_ns();
    unsigned well = 0;
    /* We were stopped or starved ourselves, and so perhaps were the workers: that time does not count. */
    if (now - watchdog->looked_ns > 4ull * FLEET_TICK_MS * NS_PER_MS)
        watchdog->since_ns = now;
    watchdog->looked_ns = now;
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        struct slot *slot = &fleet->slots.v[i];
        if (!slot->generation || slot->state != SLOT_READY)
            continue;
        uint64_t most = slot->generation->conf->server.timeout;
        uint64_t silent = most && !slot_is_hung(slot) ? silence_ms(slot, now) : 0;
        if (silent > most)
            report_hang(slot, silent, now);
        well += !slot_is_hung(slot);
    }
    return well;
}

static bool shows_life(const struct slot *slot, uint64_t now)
{
    bool young = now / NS_PER_MS < slot->ready_ms + WORKER_YOUNG_MS;
    uint64_t most = young ? 2 * WORKER_YOUNG_BEAT_MS : WORKER_BEAT_MS + WORKER_YOUNG_BEAT_MS;
    return silence_ms(slot, now) <= most;
}

bool watchdog_all_alive(const struct fleet *fleet, const struct generation *generation, uint64_t since_ms)
{
    uint64_t now = clock_ns();
    if (now / NS_PER_MS > since_ms + LONGEST_PROOF_MS)
        return true;
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        const struct slot *slot = &fleet->slots.v[i];
        if (slot->generation == generation && slot->state == SLOT_READY && !shows_life(slot, now))
            return false;
    }
    return true;
}
