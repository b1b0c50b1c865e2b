/* SPDX-License-Identifier: BSD-3-Clause */
/* readiness.c: the service is ready while a worker serves. */
#include "master/metrics/readiness.h"

#include "master/service.h"

/* Of the generation that serves; one that hangs takes connections and answers none. */
static bool some_worker_serves(const struct service *service)
{
    for (unsigned i = 0; i < service->fleet.slots.n; i++) {
        const struct slot *slot = &service->fleet.slots.v[i];
        if (slot->generation == service->fleet.current && slot->state == SLOT_READY && !slot_is_hung(slot))
            return true;
    }
    return false;
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
    return some_worker_serves(service) ? NULL : "no worker is ready";
}
