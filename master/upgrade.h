/* SPDX-License-Identifier: BSD-3-Clause */
/* upgrade.h: a new binary beside the running one, on the same sockets, without a refused connection.
 *
 * The old master starts the program again that it was started as (by then another file may be there)
 * and hands it its sockets. Until that one says that it is ready, nothing changes for anybody; if it
 * ends before, the old one goes on as if nothing had been. After it both serve, and an operator
 * ends one of them: the old one for good, or the new one to go back. Whichever is left goes on.
 *
 * Between the two runs a channel, a socketpair: the new one writes one byte when it is ready, and EOF
 * tells each that the other is gone.
 */
#ifndef TINE_MASTER_UPGRADE_H
#define TINE_MASTER_UPGRADE_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/types.h>

struct listeners;
struct master;

enum upgrade_state {
    UPGRADE_ALONE,   /* no other binary */
    UPGRADE_BOOTING, /* old one: the new one is not ready yet; timer: it is killed */
    UPGRADE_BESIDE,  /* old one: the new one serves too, and speaks for the service */
    UPGRADE_HEIR,    /* new one: the old one is still there */
};

struct upgrade {
    enum upgrade_state state;
    char *program; /* file that was started, absolute; NULL: not found */
    char **argv;   /* as we were started */
    pid_t other;   /* the other binary's master; 0: none */
    int fd;        /* channel to it; -1: none */
    pid_t parent;  /* new one: the old one that is gone, until we are somebody else's child; 0: none */
    int herald_fd; /* see notify_main.h; -1: none */
    char *sockets; /* new one: what was handed over, until it has been taken */
    struct event heard, timer;
};

/* Early in main(), before anything else reads the environment or changes the folder: finds our own
 * file, and takes out of the environment what an old binary left there. argv must stay. */
void upgrade_init(struct upgrade *upgrade, char **argv);
void upgrade_done(struct upgrade *upgrade);
/* The sockets that the old binary handed over, to be used as those of a configuration before. */
void upgrade_take_sockets(struct upgrade *upgrade, struct listeners *listeners);

/* The new one, with the event base there: listens to the old one. 0, or -1 with errno. */
int upgrade_start(struct master *master) __attribute__((warn_unused_result));
/* The new one is ready: tells the old one. */
void upgrade_ready(struct master *master);

/* Now and then. */
void upgrade_look(struct master *master);

/* SIGUSR2. */
void upgrade_request(struct master *master);
/* A child has ended: true if it was the new binary. */
bool upgrade_child_gone(struct master *master, pid_t pid, int status);
/* The service stops: a new binary that is not ready yet stops with it. */
void upgrade_stop(struct master *master, bool quick);
/* A new binary must end before we do: it was never ready. */
bool upgrade_holds_the_end(const struct master *master);

#endif
