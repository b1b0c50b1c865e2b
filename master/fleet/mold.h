/* SPDX-License-Identifier: BSD-3-Clause */
/* mold.h: the molds (app.preload_app): one for each generation, a process that has loaded the application and forks the
 * generation's workers, so that they share its memory. A worker that is wanted is an order; its slot is EMPTY until the
 * mold has told its process id. A mold that ends is made anew, and its generation's workers go on meanwhile. */
#ifndef TINE_MASTER_MOLD_H
#define TINE_MASTER_MOLD_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/ipc.h"

struct generation;
struct master;
struct mold;
struct mold_order;
struct slot;

LIST_HEAD(mold_list, mold);
LIST_HEAD(mold_strays, mold_stray);

/* In struct master. */
struct molds {
    struct mold_list all; /* those that end, too */
    struct mold_strays strays; /* workers that nobody wants any more, killed and not reaped yet */
};

/* A worker for the slot, which is EMPTY and gets slot->order. 0, or -1 logged. */
int mold_order(struct master *master, struct slot *slot);
/* The slot is given up. */
void mold_forget(struct slot *slot);

/* The generation needs no more workers: its mold ends. */
void mold_end(struct generation *generation);
void molds_end_all(struct master *master);
void molds_tell(struct master *master, enum ipc_type type);

/* Messages that are there now: a worker may end as soon as its mold has told of it. */
void molds_listen(struct master *master);
/* True: the process was a mold, or a worker that was not wanted any more. */
bool molds_reap(struct master *master, pid_t pid, int status);
/* Whether such a process lives. */
bool molds_alive(const struct master *master);

#endif
