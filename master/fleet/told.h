/* SPDX-License-Identifier: BSD-3-Clause */
/* told.h: hooks about what only the master sees: the end of a worker, a reload. One worker that serves is told to call them; where
 * none serves, they wait for the next one. */
#ifndef TINE_MASTER_FLEET_TOLD_H
#define TINE_MASTER_FLEET_TOLD_H

#include "common/ipc.h"

struct fleet;

#define TOLD_MOST 64

struct told {
    struct ipc_hook v[TOLD_MOST]; /* that wait; more are forgotten */
    unsigned n;
};

/* Nothing where the present configuration has no app.hooks. */
void told_add(struct fleet *fleet, const struct ipc_hook *hook);
/* A worker has become ready. */
void told_pass_on(struct fleet *fleet);

#endif
