/* SPDX-License-Identifier: BSD-3-Clause */
/* watchdog.h: workers whose event loop gives no sign of life, and the sign of life of the service
 * itself for the service manager. */
#ifndef TINE_MASTER_WATCHDOG_H
#define TINE_MASTER_WATCHDOG_H

#include <stdint.h>

struct master;

struct watchdog {
    uint64_t looked_ns; /* last look */
    uint64_t since_ns;  /* silence counts from here at the earliest */
    uint64_t told_ns;   /* last WATCHDOG=1 */
};

/* How often to look. */
#define WATCHDOG_TICK_MS 500L

void watchdog_look(struct master *master);

#endif
