/* SPDX-License-Identifier: BSD-3-Clause */
/* watchdog.h: workers whose event loop gives no sign of life. */
#ifndef TINE_MASTER_FLEET_WATCHDOG_H
#define TINE_MASTER_FLEET_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct fleet;
struct generation;
struct slot;

/* How often the master looks after its workers: a tick. */
#define FLEET_TICK_MS 500
/* How soon a generation that could not prove itself is looked at again. */
#define PROOF_AGAIN_MS 20

struct watchdog {
    uint64_t looked_ns; /* clock_ns() of the last tick */
    uint64_t since_ns;  /* silence counts from here at the earliest */
};

/* Reports workers that have been silent for server.timeout, and has them killed. Once a tick. How many READY workers are
 * not hung. */
unsigned watchdog_tick(struct fleet *fleet);
/* Milliseconds since the loop of a READY worker last turned. */
uint64_t watchdog_silence_ms(const struct slot *slot);

/* The event loop of each READY worker of this generation has turned lately, though it may have been idle: none is busy
 * dying, or stuck. `since_ms` (of clock_ms()): when they began to be judged; after ten seconds the answer is yes whatever
 * they do, and server.timeout judges them. */
bool watchdog_all_alive(const struct fleet *fleet, const struct generation *generation, uint64_t since_ms);

#endif
