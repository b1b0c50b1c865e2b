/* master.h: the service as a whole: STARTING until a first worker is READY, RUNNING, STOPPING.
 * Never blocks, never touches Python or the bytes of a request. */
#ifndef TINE_MASTER_MASTER_H
#define TINE_MASTER_MASTER_H

#include <stdbool.h>

#include "common/proctitle.h"
#include "master/daemon.h"
#include "master/listen.h"
#include "master/notify.h"
#include "master/privs.h"
#include "master/signals.h"
#include "master/slots.h"

enum master_exit {
    MASTER_EXIT_OK = 0,
    MASTER_EXIT_CONF = 1,   /* usage or configuration */
    MASTER_EXIT_SYSTEM = 2, /* cannot bind, or a system resource is missing */
    MASTER_EXIT_BOOT = 3,   /* workers failed to boot */
    MASTER_EXIT_APP = 4,    /* the application failed to load */
};

enum master_state { MASTER_STARTING, MASTER_RUNNING, MASTER_STOPPING };

struct conf;
struct event_base;
struct scoreboard;

struct master {
    /* Set by main() before master_run(). */
    const struct conf *conf;
    struct listeners listeners;
    struct privs privs;
    struct proctitle title;
    struct notify notify;
    struct daemon daemon;

    /* The master's own. */
    enum master_state state;
    bool quick; /* STOPPING without waiting for requests */
    enum master_exit exit_code;
    unsigned target; /* workers wanted; slots [0, target) */
    unsigned generation;
    bool main_interpreter; /* the application refused a sub-interpreter in this generation */
    struct event_base *base;
    struct signals signals;
    struct slots slots;
    struct scoreboard *scoreboard;
};

/* From the first fork to the last reaped worker. */
enum master_exit master_run(struct master *master);

/* By signals.c. */
void master_stop(struct master *master, bool quick);
void master_scale(struct master *master, int by);
void master_reopen_logs(struct master *master);

/* By workers.c. */
void master_worker_ready(struct master *master);
void master_boot_failed(struct master *master, enum master_exit why);
void master_worker_gone(struct master *master);

#endif
