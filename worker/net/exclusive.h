/* SPDX-License-Identifier: BSD-3-Clause */
/* exclusive.h: makes the kernel wake one sleeping worker for a new connection, and not all of them
 * (EPOLLEXCLUSIVE), for descriptors that libevent watches. libevent cannot ask for it and does not tell its
 * epoll descriptor: that one is found by what the kernel says of ours, so nothing is believed about libevent.
 * Where it is not found, all are woken, as without it. */
#ifndef TINE_NET_EXCLUSIVE_H
#define TINE_NET_EXCLUSIVE_H

#include <stdbool.h>
#include <stdint.h>

struct exclusive {
    int epoll;     /* -1: not found */
    uint64_t data; /* what is registered with the descriptor */
};

/* Looks for the epoll descriptor of this process that watches `fd`, a descriptor with an event that is added. */
struct exclusive exclusive_find(int fd);
/* Goes to the end of the queue of those that may be woken for `fd`, whose event is added: who has taken a connection
 * calls it, and the next one is another's. 0, or -1 with errno: it is not watched any more, and its event is to be
 * deleted. */
int exclusive_queue(const struct exclusive *exclusive, int fd) __attribute__((warn_unused_result));

#endif
