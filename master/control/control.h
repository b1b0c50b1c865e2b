/* SPDX-License-Identifier: BSD-3-Clause */
/* control.h: the control socket: a Unix socket on which tinectl asks for figures and gives orders. A client sends a line
 * ("scale 4") and gets a line of JSON with "ok" in it; then the next line. */
#ifndef TINE_MASTER_CONTROL_CONTROL_H
#define TINE_MASTER_CONTROL_CONTROL_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "master/listen/listeners.h"

struct conf;
struct control_client;
struct fleet;
struct orders;
struct service;

TAILQ_HEAD(control_clients, control_client);

struct control {
    const struct service *service;
    struct fleet *fleet; /* of the service: its workers are asked for their stacks */
    const struct orders *orders;
    void *orders_arg;
    struct listeners listeners; /* one, or none */
    unsigned mode; /* of its file */
    bool has_group, next_has_group; /* control.group, and that of a reload under way: */
    gid_t group, next_group;
    struct event acceptable, pause;
    struct control_clients clients;
    unsigned n_clients;
    struct control_client *stacks_asker; /* the fleet has been asked for it; NULL: none */
    uint64_t n_refused, refused_ms; /* peers who may not speak; when that was last logged */
    bool prepared; /* by a reload under way: */
    struct listeners next;
};

/* Opens what control.socket names, if anything. Everything that is given stays. 0, or -1 logged. */
int control_open(struct control *control, const struct service *service, struct fleet *fleet,
                 const struct orders *orders, void *orders_arg) __attribute__((warn_unused_result));
/* Clients that wait for the end of the service see it when this process has ended. */
void control_close(struct control *control);

/* Binary upgrade: the new one is ready, or alone, and takes the path; the new one is gone, and the old one takes it back.
 * Logged when it fails: the service continues. */
void control_take_over(struct control *control);
void control_take_back(struct control *control);

/* The steps of a reload (reload_part.h). What cannot be opened fails it: 0, or -1 logged. */
int control_prepare(struct control *control, const struct conf *next) __attribute__((warn_unused_result));
void control_commit(struct control *control);
void control_rollback(struct control *control);
/* Answers those that waited for the reload number service->reload.begun, or one before. */
void control_reload_ended(struct control *control);
/* No reload will happen: the service is stopping. */
void control_reload_cancelled(struct control *control);

#endif
