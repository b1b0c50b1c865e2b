/* SPDX-License-Identifier: BSD-3-Clause */
/* accept_safety_net.h: connections that no worker has noticed. The kernel wakes one sleeping worker for a new connection;
 * if that one is stopped or dies at this very moment, no other worker hears of it. */
#ifndef TINE_MASTER_FLEET_ACCEPT_SAFETY_NET_H
#define TINE_MASTER_FLEET_ACCEPT_SAFETY_NET_H

#include <stdbool.h>

struct listeners;

struct accept_safety_net {
    bool waited; /* at the last tick a connection was waiting in the queue of a socket */
};

/* Once a tick. True: a connection has waited from one tick to the next, and all workers are to look for it. */
bool accept_safety_net_tick(struct accept_safety_net *net, const struct listeners *listeners);

#endif
