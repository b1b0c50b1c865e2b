/* SPDX-License-Identifier: BSD-3-Clause */
/* orders.h: what the service can be told to do. Signals and the control socket give the same orders; master.c carries
 * them out. */
#ifndef TINE_MASTER_ORDERS_H
#define TINE_MASTER_ORDERS_H

#include <stdbool.h>

struct orders {
    /* Ends the service: gracefully (a second time: at once), or at once. */
    void (*stop)(void *arg, bool quick);
    /* Loads configuration and code again, now or as soon as it can. */
    void (*reload)(void *arg);
    /* More or fewer workers. */
    void (*scale_by)(void *arg, int by);
    /* 1 to WORKERS_MAX. */
    void (*scale_to)(void *arg, unsigned workers);
    /* Ends the workers gracefully and keeps the sockets, until a reload. */
    void (*pause)(void *arg);
    /* Starts them again, without a reload. */
    void (*resume)(void *arg);
    /* What is logged from now on, by master and workers; until the next reload. enum log_level. */
    void (*set_log_level)(void *arg, int level);
    /* Opens the log files again. 0, or -1 logged: the error log stays what it was. */
    int (*reopen_logs)(void *arg);
    /* Starts a new binary beside this one. */
    void (*upgrade)(void *arg);
    /* Children have ended: collects them. */
    void (*child)(void *arg);
};

#endif
