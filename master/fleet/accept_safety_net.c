/* SPDX-License-Identifier: BSD-3-Clause */
/* accept_safety_net.c: asks the kernel whether connections wait, and takes nothing from the queues. */
#include "master/fleet/accept_safety_net.h"

#include <poll.h>

#include "master/listen/listeners.h"

#define AT_ONCE 32

static bool any_waits(const struct listeners *listeners)
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

bool accept_safety_net_tick(struct accept_safety_net *net, const struct listeners *listeners)
{
    bool waits = any_waits(listeners), waited = net->waited;
    net->waited = waits;
    return waits && waited;
}
