/* SPDX-License-Identifier: BSD-3-Clause */
/* tally.h: what the master has done since its start; only grows. */
#ifndef TINE_MASTER_TALLY_H
#define TINE_MASTER_TALLY_H

#include <stdint.h>

struct tally {
    uint64_t started;       /* workers */
    uint64_t boot_failures; /* ended before they were ready */
    uint64_t crashed;       /* ended while they served, unasked */
    uint64_t hung;          /* gave no sign of life for server.timeout */
    uint64_t recycled;      /* were to be replaced: max_requests and the like */
};

#endif
