/* SPDX-License-Identifier: BSD-3-Clause */
/* readiness.c: see readiness.h. */
#include "master/metrics/readiness.h"

#include "master/master.h"

/* Of the generation that serves; one that hangs takes connections and answers none. */
static bool some_worker_serves(const struct master *master)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot *slot = &master->slots.v[i];
        if (slot->generation == master->current && slot->state == SLOT_READY && !slot->hung)
            return true;
    }
    return false;
}

const char *readiness_fault(const struct master *master)
{
    switch (master->state) {
    case MASTER_STARTING:
        return "starting";
    case MASTER_LEAVING:
    case MASTER_STOPPING:
        return "stopping";
    case MASTER_RUNNING:
    case MASTER_RELOADING:
        break;
    }
    if (master->paused)
        return "paused: its workers were ended";
    return some_worker_serves(master) ? NULL : "no worker is ready";
}
