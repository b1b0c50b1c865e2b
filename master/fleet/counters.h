/* SPDX-License-Identifier: BSD-3-Clause */
/* counters.h: what the fleet has been through since the service started. Only grows. */
#ifndef TINE_MASTER_FLEET_COUNTERS_H
#define TINE_MASTER_FLEET_COUNTERS_H

#include <stdint.h>

struct counters {
    uint64_t started;       /* workers */
    uint64_t boot_failures; /* ended before they were ready */
    uint64_t crashed;       /* ended while they served, without being asked to */
    uint64_t early;         /* of all that ended without being asked: within a second of READY */
    uint64_t hung;          /* gave no sign of life for server.timeout */
    uint64_t recycled;      /* were due for replacement: server.max_requests and the like */
    uint64_t held_back;     /* replacements that had to wait, because workers are replaced too often */
};

#endif
