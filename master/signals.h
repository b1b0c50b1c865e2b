/* SPDX-License-Identifier: BSD-3-Clause */
/* signals.h: from a signal to an order (orders.h). */
#ifndef TINE_MASTER_SIGNALS_H
#define TINE_MASTER_SIGNALS_H

#include <event2/event_struct.h>

struct event_base;
struct orders;

#define SIGNALS_MAX 16
/* Priorities of the event base. Orders have the first: what a process of the fleet says, or that it has ended, is judged
 * in the light of every order that has come by then. All other events have the default one. */
#define SIGNALS_PRIORITIES 2

struct signals {
    struct event event[SIGNALS_MAX];
    int n;
    const struct orders *orders;
    void *arg;
};

/* The orders and their argument stay. Whatever the parent of this process has blocked or ignored, the signals of orders are
 * heard from here on. 0, or -1: out of resources. */
int signals_init(struct signals *signals, struct event_base *base, const struct orders *orders, void *arg)
    __attribute__((warn_unused_result));
void signals_done(struct signals *signals);

#endif
