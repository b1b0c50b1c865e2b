/* SPDX-License-Identifier: BSD-3-Clause */
/* signals.h: from a signal to what the master does. */
#ifndef TINE_MASTER_SIGNALS_H
#define TINE_MASTER_SIGNALS_H

#include <event2/event_struct.h>

struct master;

#define SIGNALS_MAX 16

struct signals {
    struct event event[SIGNALS_MAX];
    int n;
};

/* 0, or -1: out of resources. */
int signals_init(struct signals *signals, struct master *master) __attribute__((warn_unused_result));
void signals_done(struct signals *signals);

#endif
