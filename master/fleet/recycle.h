/* SPDX-License-Identifier: BSD-3-Clause */
/* recycle.h: replaces workers that have served long enough, one at a time: the replacement is READY before the old one
 * drains.
 *
 * Replacing must not become all that the service does: when a worker is due sooner after READY than it took to boot, or
 * within a second, the limit that makes it so is too low. The next replacement then waits, longer each time. */
#ifndef TINE_MASTER_FLEET_RECYCLE_H
#define TINE_MASTER_FLEET_RECYCLE_H

#include <stdbool.h>
#include <stdint.h>

struct fleet;
struct slot;

struct recycle {
    bool spare;             /* the current generation has one worker more, which replaces the first that is due */
    unsigned short_lives;   /* in a row */
    unsigned backoff_ms;    /* between two replacements; 0: none */
    uint64_t not_before_ms; /* clock_ms(): no replacement begins before */
    uint64_t memory, memory_ms; /* machine_memory(), and clock_ms() when it was asked */
};

/* Marks workers that are past server.max_worker_lifetime or max_worker_memory. Once a tick. */
void recycle_tick(struct fleet *fleet);
/* The worker asks for its replacement, for the reason given. */
void recycle_ask(struct slot *slot, const char *why);
/* Takes the next step, if one is due: starts a replacement, or drains the old worker. Cheap; to be called once a tick and
 * whenever a worker is ready or gone. */
void recycle_step(struct fleet *fleet);

#endif
