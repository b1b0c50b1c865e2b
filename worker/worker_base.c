/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_base.c: what a worker or a mold begins with: an event base, also for an application that runs its loop while it is
 * imported; its working folder; and that forks of the application are strangers. */
#include <event2/event.h>
#include <fcntl.h>

#include "common/forked.h"
#include "common/log.h"
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

int worker_guard_forks(const struct heritage *heritage)
{
    if (forked_begin() < 0 || log_survive_forks() < 0)
        return -1;
    for (size_t i = 0; i < heritage->n_listeners; i++)
        forked_own(heritage->listeners[i].fd);
    forked_own(heritage->ipc_fd);
    forked_own(heritage->stacks_fd);
    return 0;
}

int worker_folder(void)
{
    int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? AT_FDCWD : fd;
}
