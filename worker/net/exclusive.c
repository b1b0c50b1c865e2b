/* SPDX-License-Identifier: BSD-3-Clause */
/* exclusive.c: see exclusive.h. */
#include "worker/net/exclusive.h"

#include <stddef.h>
#include <sys/epoll.h>

#include "common/epoll_of.h"

struct exclusive exclusive_find(int fd)
{
    struct exclusive exclusive = { .epoll = -1 };
    exclusive.epoll = epoll_of(fd, &exclusive.data);
    return exclusive;
}

int exclusive_queue(const struct exclusive *exclusive, int fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = exclusive->data };
    /* The kernel changes no registration to or from an exclusive one: it is made anew, and comes last in the queue. */
    if (exclusive->epoll < 0 || epoll_ctl(exclusive->epoll, EPOLL_CTL_DEL, fd, NULL) < 0)
        return 0;
    return epoll_ctl(exclusive->epoll, EPOLL_CTL_ADD, fd, &event);
}
