/* SPDX-License-Identifier: BSD-3-Clause */
/* nudge.c: see nudge.h. Asks the kernel and takes nothing from the queues. */
#include "master/fleet/nudge.h"

#include <poll.h>

#include "common/ipc.h"
#include "master/fleet/generation.h"
#include "master/master.h"
#include "master/fleet/workers.h"

#define AT_ONCE 32

static bool somebody_waits(const struct listeners *listeners)
{
    struct pollfd fds[AT_ONCE];
    for (size_t i = 0; i < listeners->n_serving; i += AT_ONCE) {
        size_t n = listeners->n_serving - i < AT_ONCE ? listeners->n_serving - i : AT_ONCE;
        for (size_t k = 0; k < n; k++)
            fds[k] = (struct pollfd){ .fd = listeners->v[i + k].fd, .events = POLLIN };
        if (poll(fds, n, 0) > 0)
            return true;
    }
    return false;
}

void nudge_look(struct master *master)
{
    bool waits = somebody_waits(&master->current->listeners);
    if (waits && master->nudge.waited)
        workers_tell(master, IPC_LOOK);
    master->nudge.waited = waits;
}
