/* SPDX-License-Identifier: BSD-3-Clause */
/* upgrade.h: a new binary beside the running one, on the same sockets, without a refused connection.
 *
 * The old master starts the program again that it was started as (by then another file may be there) and hands it its
 * sockets. Until that one says that it is ready, nothing changes for clients; if it ends before, the old one continues
 * as if nothing had happened. After that both serve, and an operator ends one of them: the old one for good, or the new
 * one to go back. Whichever is left continues.
 *
 * Between the two runs a channel, a socketpair: the new one writes one byte when it is ready, and EOF shows each that the
 * other is gone. Who is what is in service->upgrade. */
#ifndef TINE_MASTER_UPGRADE_H
#define TINE_MASTER_UPGRADE_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/types.h>

struct listeners;
struct notify;
struct service;

/* For whoever runs the service. */
struct upgrade_events {
    /* Old one: the new one is ready and speaks for the service from now on. */
    void (*beside)(void *arg);
    /* Old one: the new one is gone, and the service is this one's alone again. `was_ready`: it had spoken for it. */
    void (*alone)(void *arg, bool was_ready);
    /* New one: the old one is gone. */
    void (*old_gone)(void *arg);
};

struct upgrade {
    struct service *service;
    struct notify *notify;
    const char *start_dir; /* where the program was started; NULL: the working folder is still that */
    const struct upgrade_events *events;
    void *arg;
    char *program; /* file that was started, absolute; NULL: not found */
    char **argv; /* as we were started */
    pid_t other; /* the other binary's master; 0: none */
    int fd; /* channel to it; -1: none */
    pid_t parent; /* new one: the old one that is gone, until we are another process's child; 0: none */
    int herald_fd; /* see notify_main.h; -1: none */
    char *sockets; /* new one: what was handed over, until it has been taken */
    struct event heard, timer; /* timer: the new one is killed when it is not ready in time */
};

/* Early in main(), before anything else reads the environment or changes the folder: finds our own file, and takes out of
 * the environment what an old binary left there. argv and the service must stay. */
void upgrade_init(struct upgrade *upgrade, struct service *service, char **argv);
void upgrade_done(struct upgrade *upgrade);
/* The sockets that the old binary handed over, to be used as those of a configuration before. */
void upgrade_take_sockets(struct upgrade *upgrade, struct listeners *listeners);

/* With the event base there; what is given stays. The new one listens to the old one. 0, or -1 with errno. */
int upgrade_start(struct upgrade *upgrade, struct notify *notify, const char *start_dir,
                  const struct upgrade_events *events, void *arg) __attribute__((warn_unused_result));
/* The new one is ready: lets the old one know. */
void upgrade_ready(struct upgrade *upgrade);

/* Once a tick: has systemd see that its main process has become its own child (notify_main.h). */
void upgrade_tick(struct upgrade *upgrade);

/* Starts a new binary, if that is possible now; why not is logged. */
void upgrade_request(struct upgrade *upgrade);
/* A child has ended: true if it was the new binary. */
bool upgrade_child_gone(struct upgrade *upgrade, pid_t pid, int status);
/* The service stops: a new binary that is not ready yet stops with it. */
void upgrade_stop(struct upgrade *upgrade, bool quick);
/* The new binary was never ready and must end before we do. */
bool upgrade_holds_the_end(const struct upgrade *upgrade);

#endif
