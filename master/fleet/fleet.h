/* SPDX-License-Identifier: BSD-3-Clause */
/* fleet.h: all processes that run the application: the workers of every generation and the molds that workers are
 * forked from. Starts, watches, replaces and ends them; what that means for the service is reported upwards. */
#ifndef TINE_MASTER_FLEET_FLEET_H
#define TINE_MASTER_FLEET_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/heritage.h"
#include "common/ipc.h"
#include "common/proctitle.h"
#include "master/fleet/counters.h"
#include "master/fleet/exit_words.h"
#include "master/fleet/mold.h"
#include "master/fleet/recycle.h"
#include "master/fleet/roll.h"
#include "master/fleet/slots.h"
#include "master/fleet/stacks.h"
#include "master/fleet/told.h"
#include "master/fleet/verdicts.h"
#include "master/fleet/watchdog.h"
#include "master/system/privs.h"

struct event_base;
struct generation;
struct scoreboard;
struct limits;
struct tickets;

enum fleet_phase {
    FLEET_BOOTING,  /* the service has not started: any failure is reported, and nothing is tried again */
    FLEET_SERVING,  /* what ends without being asked to is replaced */
    FLEET_STOPPING, /* nothing is started any more */
};

/* What happens to workers and molds, reported to whoever runs the fleet. None of these may free a generation. */
struct fleet_events {
    /* The worker is READY. */
    void (*ready)(void *arg, struct slot *slot);
    /* Something went wrong with a worker, which is logged already: what an operator should see first, a line or a traceback,
     * whose last line it is. */
    void (*fault)(void *arg, const char *why);
    /* A worker or a mold of the generation has said why it failed: a traceback, `n` bytes. */
    void (*said)(void *arg, const struct generation *generation, const char *text, size_t n);
    /* A worker or the mold of a generation that is to prove itself (the first one, or that of a reload) could not be
     * started, or ended before it was READY; `why` in words. */
    void (*boot_failed)(void *arg, struct generation *generation, enum boot_fault fault, const char *why);
    /* A worker that serves is to be replaced, for the reason given. */
    void (*asks_successor)(void *arg, struct slot *slot, const char *why);
    /* A worker of the next generation that was READY stops or has ended without being asked to. */
    void (*lost)(void *arg, struct generation *generation, const char *why);
    /* A process of the fleet has ended and been dealt with. */
    void (*gone)(void *arg);
    /* The generation has no slot left. */
    void (*emptied)(void *arg, struct generation *generation);
};

struct fleet {
    struct event_base *base;
    struct scoreboard *scoreboard;
    struct limits *limits; /* what clients have used of [limit], of all workers */
    struct tickets *tickets; /* keys of TLS session tickets, for all workers */
    uint64_t tickets_ms; /* clock_ms() when they are rotated next; 0: not known yet */
    struct privs privs; /* whom workers run as */
    struct proctitle title;
    bool detached; /* the service runs in the background: its workers have no standard streams */

    enum fleet_phase phase;
    bool quick; /* STOPPING without waiting for requests */
    bool has_level; /* the level of the log was changed, to the master's own: each worker is to know */
    bool paused; /* the current generation has no workers, until a reload brings one that has */
    struct generation *current; /* it serves */
    struct generation *next; /* boots during a reload; NULL: none */

    struct slots slots;
    struct molds molds;
    struct stacks stacks;
    struct told told;
    struct recycle recycle;
    struct roll roll;
    struct watchdog watchdog;
    struct counters counters;
    struct verdicts verdicts; /* of applications that need the main interpreter */
    const struct fleet_events *events;
    void *arg;
};

/* `base` and the events stay. 0, or -1 with errno: out of memory. */
int fleet_init(struct fleet *fleet, struct event_base *base, const struct fleet_events *events, void *arg)
    __attribute__((warn_unused_result));
/* Before the event base is freed. */
void fleet_done(struct fleet *fleet);

/* A child has ended with a status of waitpid(2). False: it was no process of the fleet. */
bool fleet_collect(struct fleet *fleet, pid_t pid, int status);
/* Processes are left. */
bool fleet_lives(const struct fleet *fleet);
/* The message goes to every worker and mold; one that does not read its messages misses it. */
void fleet_tell(struct fleet *fleet, enum ipc_type type);

#endif
