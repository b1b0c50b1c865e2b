/* SPDX-License-Identifier: BSD-3-Clause */
/* mold.h: the molds (app.preload_app): one for each generation, a process that has loaded the application and forks the
 * generation's workers, so that they share its memory. A worker that is wanted is an order; its slot is EMPTY until the
 * mold has reported the process id. A mold that ends is replaced, and its generation's workers continue meanwhile. */
#ifndef TINE_MASTER_FLEET_MOLD_H
#define TINE_MASTER_FLEET_MOLD_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/ipc.h"

struct fleet;
struct generation;
struct mold;
struct mold_order;
struct slot;

LIST_HEAD(mold_list, mold);
LIST_HEAD(mold_strays, mold_stray);

/* In struct fleet. */
struct molds {
    struct mold_list all; /* those that are ending as well */
    struct mold_strays strays; /* workers that no slot wants any more: killed, and not collected yet */
};

/* Orders a worker for the slot, which is EMPTY and gets slot->order; an order that is there already stands. 0, or -1
 * logged. */
int mold_ask(struct slot *slot) __attribute__((warn_unused_result));
/* The slot is given up. */
void mold_forget(struct slot *slot);

/* The generation needs no more workers: its mold ends. */
void mold_end(struct generation *generation);
void molds_end_all(struct fleet *fleet);
void molds_tell(struct fleet *fleet, enum ipc_type type);

/* Takes the messages that are there now: a worker may end as soon as its mold has reported it. */
void molds_listen(struct fleet *fleet);
/* A child has ended. True: it was a mold, or a worker that was not wanted any more. */
bool molds_collect(struct fleet *fleet, pid_t pid, int status);
/* Such processes are left. */
bool molds_alive(const struct fleet *fleet);

#endif
