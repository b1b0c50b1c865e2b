/* SPDX-License-Identifier: BSD-3-Clause */
/* readiness.c: the service is ready while a worker can take a request. */
#include "master/metrics/readiness.h"

#include "common/scoreboard.h"
#include "master/fleet/watchdog.h"
#include "master/service.h"

/* A loop that has not turned for so long takes no request, whether or not it will be killed for it. */
#define SILENT_MS 5000

static bool can_take(const struct slot *slot)
{
    const struct score *score = &slot->fleet->scoreboard->slot[slot->index];
    return !atomic_load_explicit(&score->stalled, memory_order_relaxed) && watchdog_silence_ms(slot) < SILENT_MS;
}

/* Of the generation that serves; one that hangs takes connections and answers none. NULL: one can take a request. */
static const char *fault_of_workers(const struct service *service)
{
    const char *fault = "no worker is ready";
    for (unsigned i = 0; i < service->fleet.slots.n; i++) {
        const struct slot *slot = &service->fleet.slots.v[i];
        bool serves = slot->generation && (slot->generation == service->fleet.current || roll_counts_on(slot));
        if (!serves || slot->state != SLOT_READY || slot_is_hung(slot))
            continue;
        if (can_take(slot))
            return NULL;
        fault = "no worker can take a request: their threads are lost or their loops are blocked";
    }
    return fault;
}

const char *readiness_fault(const struct service *service)
{
    switch (service->state) {
    case SERVICE_STARTING:
        return "starting";
    case SERVICE_LEAVING:
    case SERVICE_STOPPING:
        return "stopping";
    case SERVICE_RUNNING:
    case SERVICE_RELOADING:
        break;
    }
    if (service->fleet.paused)
        return "paused: its workers were ended";
    return fault_of_workers(service);
}
