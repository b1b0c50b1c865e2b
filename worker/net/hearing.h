/* SPDX-License-Identifier: BSD-3-Clause */
/* hearing.h: the worker's half of the watchdog. The master sees a loop that does not turn; this finds one that turns and
 * serves no one, because the kernel reports nothing to it: its registrations with epoll were taken away by the application, or
 * by a process that shares the descriptor and came by no fork(3) (common/forked.h), or connections wait for long and no
 * event comes of it. Asks the kernel; believes nothing about libevent. */
#ifndef TINE_NET_HEARING_H
#define TINE_NET_HEARING_H

#include <stddef.h>
#include <stdint.h>

struct acceptor;
struct event_base;

#define HEARING_WHY 120

struct hearing {
    struct event_base *base;
    int epoll; /* -1: it cannot be found (no /proc): registrations are not looked at */
    uint64_t patience_ns;
    uint64_t waits_since_ns; /* connections wait that no event reports; 0: none do */
    unsigned long events; /* of the acceptor, when that was last looked at */
};

/* `fd`: any descriptor of the server whose event is added to `base`. patience_ms: how long connections may wait untold
 * (server.timeout); 0: for ever. */
void hearing_init(struct hearing *hearing, struct event_base *base, int fd, uint64_t patience_ms);
/* To be called now and then while the worker serves. NULL: all is well; else what is wrong, in `to`: the worker should be
 * replaced, and until then its listening sockets are watched anew. */
const char *hearing_fault(struct hearing *hearing, struct acceptor *acceptor, char to[HEARING_WHY]);

#endif
