/* SPDX-License-Identifier: BSD-3-Clause */
/* workers.h: what the master does to its workers and what it does when something happens to one. */
#ifndef TINE_MASTER_WORKERS_H
#define TINE_MASTER_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc.h"

struct generation;
struct master;
struct slot;

/* Starts workers of the current or the next generation until as many as are wanted serve, start or
 * wait for their back-off. Failing to may end a reload or, in STARTING, the service. */
void workers_fill(struct master *master, struct generation *generation);
/* Asks one worker to stop: finish what is in flight (graceful_timeout), or close everything now. It
 * is killed when its time is over. */
void worker_stop(struct slot *slot, bool quick);
void workers_stop_all(struct master *master, bool quick);
/* For a generation that is neither current nor next any more; it may be over and freed after it. */
void workers_stop_generation(struct master *master, struct generation *generation, bool quick);
/* Ends all workers of the current generation gracefully. */
void workers_end_current(struct master *master);
/* Gives the current generation as many workers as it wants now. */
void workers_fit(struct master *master);
/* To all that live; one that does not read its messages misses it. */
void workers_tell(struct master *master, enum ipc_type type);

/* (Re)starts the slot's one timer. */
void slot_arm(struct slot *slot, uint64_t ms);
/* libevent callback: the worker said something or closed its end. */
void on_slot_ipc(int fd, short what, void *arg);

/* Called by reap.c: the process has ended with a status of waitpid(2). */
void worker_gone(struct slot *slot, int status);

#endif
