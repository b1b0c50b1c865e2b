/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_base.c: the event base of a worker, and the one on which an application may run its loop while it is imported. */
#include <event2/event.h>

#include "worker/worker.h"

struct event_base *worker_base_new(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}
