/* SPDX-License-Identifier: BSD-3-Clause */
/* master.h: the service as a whole: STARTING until a first worker is READY, RUNNING, RELOADING while
 * a new generation boots beside the serving one, LEAVING while drain_delay runs, STOPPING.
 * Never blocks, never touches Python or the bytes of a request. */
#ifndef TINE_MASTER_MASTER_H
#define TINE_MASTER_MASTER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/proctitle.h"
#include "master/control/control.h"
#include "master/system/daemon.h"
#include "master/fleet/mold.h"
#include "master/system/notify.h"
#include "master/fleet/nudge.h"
#include "master/system/privs.h"
#include "master/reload.h"
#include "master/signals.h"
#include "master/fleet/slots.h"
#include "master/fleet/stacks.h"
#include "master/fleet/tally.h"
#include "master/upgrade.h"
#include "master/fleet/watchdog.h"

enum master_exit {
    MASTER_EXIT_OK = 0,
    MASTER_EXIT_CONF = 1,   /* usage or configuration */
    MASTER_EXIT_SYSTEM = 2, /* cannot bind, or a system resource is missing */
    MASTER_EXIT_BOOT = 3,   /* workers failed to boot */
    MASTER_EXIT_APP = 4,    /* the application failed to load */
};

enum master_state {
    MASTER_STARTING,
    MASTER_RUNNING,
    MASTER_RELOADING,
    MASTER_LEAVING, /* asked to stop; drain_delay runs */
    MASTER_STOPPING,
};

struct conf;
struct conf_cli;
struct dev_reload;
struct event_base;
struct generation;
struct metrics;
struct scoreboard;
struct tickets;

struct master {
    /* Set by main() before master_run(). */
    const struct conf_cli *cli;
    struct generation *current; /* it serves; a reload replaces it */
    const struct conf *conf;    /* of `current` */
    struct privs privs;
    struct proctitle title;
    struct notify notify;
    struct daemon daemon;
    struct upgrade upgrade;
    struct dev_reload *dev_reload; /* NULL: server.reload is false */

    /* The master's own. */
    time_t started_at;   /* wall clock */
    uint64_t started_ms; /* clock_ms() */
    enum master_state state;
    bool started; /* some worker has been READY */
    bool quick;  /* STOPPING without waiting for requests */
    bool paused; /* RUNNING without workers, until a reload brings a generation that has them */
    enum master_exit exit_code;
    unsigned n_old; /* generations that are neither current nor next and have workers left */
    struct reload reload;
    struct event_base *base;
    struct signals signals;
    struct event tick, leave_timer;
    struct watchdog watchdog;
    struct slots slots;
    struct molds molds;
    struct control control;
    struct stacks stacks;
    struct nudge nudge;
    struct scoreboard *scoreboard;
    struct tickets *tickets; /* of TLS sessions, for all workers */
    uint64_t tickets_ms;     /* clock_ms() when they are rotated next */
    struct tally tally;
    struct metrics *metrics; /* NULL: nobody asked for them */
};

/* From the first fork to the last reaped worker. */
enum master_exit master_run(struct master *master);

/* By signals.c and control_commands.c. */
void master_stop(struct master *master, bool quick);
void master_scale(struct master *master, int by);
/* 1 to WORKERS_MAX. */
void master_scale_to(struct master *master, unsigned workers);
/* Ends the workers gracefully and keeps the sockets. */
void master_pause(struct master *master);
/* 0, or -1 logged: the error log stays what it was. */
int master_reopen_logs(struct master *master);

/* By reload.c: says how the service is to the service manager. */
void master_tell_status(struct master *master, const char *assignments);
/* Some worker is READY: the start is over. Once; later calls do nothing. */
void master_started(struct master *master);
/* A generation without slots that is neither current nor next is over: freed. */
void master_settle(struct master *master, struct generation *generation);

/* By workers.c. */
void master_worker_ready(struct master *master);
void master_boot_failed(struct master *master, enum master_exit why);
void master_worker_gone(struct master *master);

#endif
