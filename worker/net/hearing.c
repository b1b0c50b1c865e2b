/* SPDX-License-Identifier: BSD-3-Clause */
/* hearing.c: see hearing.h. What epoll watches is asked by adding it once more, which must fail. */
#include "worker/net/hearing.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/forked.h"
#include "worker/net/accept.h"
#include "worker/net/exclusive.h"

/* Looked at each time, the lowest descriptors: those of the server itself, and the first connections. */
#define MOST 256
/* So often in a row connections may be found by a look and not by an event: now and then the kernel has woken a worker
 * that hangs, and no other. */
#define UNTOLD_MOST 3

void hearing_init(struct hearing *hearing, struct event_base *base, int fd, uint64_t patience_ms)
{
    *hearing =
        (struct hearing){ .base = base, .epoll = exclusive_find(fd).epoll, .patience_ns = patience_ms * 1000000 };
}

static bool is_registered(int epoll, int fd)
{
    struct epoll_event none = { .events = 0 };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &none) == 0) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
        return false;
    }
    return errno != EBADF && errno != EINVAL && errno != EPERM; /* mostly EEXIST */
}

struct search {
    int epoll, lost; /* lost: a descriptor, -1: none so far */
    unsigned looked_at;
};

/* Events of the application are its own affair: it may have closed what it watches. */
static int look_at(const struct event_base *base, const struct event *event, void *arg)
{
    struct search *search = arg;
    int fd = event_get_fd(event);
    if (!(event_get_events(event) & (EV_READ | EV_WRITE)) || !forked_owns(fd))
        return 0;
    if (!is_registered(search->epoll, fd))
        search->lost = fd;
    return search->lost >= 0 || ++search->looked_at >= MOST;
}

/* -1: none. */
static int lost_descriptor(const struct hearing *hearing)
{
    struct search search = { .epoll = hearing->epoll, .lost = -1 };
    if (hearing->epoll >= 0)
        event_base_foreach_event(hearing->base, look_at, &search);
    return search.lost;
}

/* For how long connections have waited while no event came; in ns. */
static uint64_t untold_ns(struct hearing *hearing, const struct acceptor *acceptor)
{
    unsigned long events = acceptor_events(acceptor);
    uint64_t now = clock_ns();
    if (events != hearing->events || !acceptor_is_awaited(acceptor))
        hearing->waits_since_ns = 0;
    else if (!hearing->waits_since_ns)
        hearing->waits_since_ns = now;
    hearing->events = events;
    return hearing->waits_since_ns ? now - hearing->waits_since_ns : 0;
}

const char *hearing_fault(struct hearing *hearing, struct acceptor *acceptor, char to[HEARING_WHY])
{
    int lost = lost_descriptor(hearing);
    uint64_t untold = untold_ns(hearing, acceptor);
    unsigned looks = acceptor_untold(acceptor);
    if (lost >= 0)
        snprintf(to, HEARING_WHY, "descriptor %d of the server is no longer watched by epoll", lost);
    else if (hearing->patience_ns && untold > hearing->patience_ns)
        snprintf(to, HEARING_WHY, "connections have waited for %.1f s and epoll tells of none", (double)untold / 1e9);
    else if (looks >= UNTOLD_MOST)
        snprintf(to, HEARING_WHY, "connections came %u times and epoll told of none", looks);
    else
        return NULL;
    acceptor_watch_anew(acceptor);
    hearing->waits_since_ns = 0;
    return to;
}
