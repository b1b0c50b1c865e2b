/* SPDX-License-Identifier: BSD-3-Clause */
/* watchdog.h: workers whose event loop gives no sign of life. */
#ifndef TINE_MASTER_FLEET_WATCHDOG_H
#define TINE_MASTER_FLEET_WATCHDOG_H

#include <stdint.h>

struct fleet;

/* How often the master looks after its workers: a tick. */
#define FLEET_TICK_MS 500

struct watchdog {
    uint64_t looked_ns; /* clock_ns() of the last tick */
    uint64_t since_ns;  /* silence counts from here at the earliest */
};

/* Reports workers that have been silent for server.timeout, and has them killed. Once a tick. How many READY workers are
 * not hung. */
unsigned watchdog_tick(struct fleet *fleet);

#endif
