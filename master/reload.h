/* SPDX-License-Identifier: BSD-3-Clause */
/* reload.h: a reload as a transaction: a new generation boots beside the old, and only when all of its workers are READY,
 * and have stayed so for a second, does the old one drain. Whatever fails on the way, the old one continues.
 *
 * During that second both generations take requests. A worker that ends by itself in it shows that the new code cannot
 * serve: the old one is still whole then, and nothing is lost. With server.reload, for development, there is no such
 * second: what was just saved must answer the next request.
 *
 * With server.reload_strategy = rolling, the same happens for each worker: fleet/roll.h. The configuration changes over
 * with the last one. */
#ifndef TINE_MASTER_RELOAD_H
#define TINE_MASTER_RELOAD_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>

#include "master/fleet/generation.h"

struct conf_cli;
struct reload_part;
struct service;

LIST_HEAD(generations, generation);

/* For whoever runs the service. */
struct reload_events {
    /* A reload begins: the service is RELOADING. */
    void (*began)(void *arg);
    /* server.reload_strategy = rolling: one more worker of the next generation serves. */
    void (*advanced)(void *arg);
    /* It has ended, and the service is RUNNING; service->reload says how. */
    void (*ended)(void *arg);
};

struct reload {
    struct service *service; /* its `reload` is written here, as are fleet.current and fleet.next */
    const struct conf_cli *cli;
    const struct reload_part *parts;
    const struct reload_events *events;
    void *arg; /* of both */
    bool wanted; /* asked for while it could not begin */
    bool waits; /* the reason for that has been logged */
    char *words; /* what a worker of the next generation said when it failed; NULL: nothing yet */
    struct event proof; /* all workers of the next generation are READY: it serves when this fires */
    uint64_t proof_since_ms; /* clock_ms() of when the last one became READY */
    struct generations ending; /* neither current nor next: they end with their last worker */
};

/* With the fleet's event base there. `parts` end with one that has no name; `arg` is given to them and to the events.
 * Everything stays. */
void reload_init(struct reload *reload, struct service *service, const struct conf_cli *cli,
                 const struct reload_part *parts, const struct reload_events *events, void *arg);
/* Before the event base is freed; frees generations that are still ending. */
void reload_done(struct reload *reload);

/* Begins a reload, or remembers it for when it can begin: after the start, after the current reload, when enough of the
 * old generations are gone. Several asked for meanwhile are one. */
void reload_request(struct reload *reload);
/* Frees generations that have ended, and begins a reload that had to wait. Never from inside the fleet's events. */
void reload_settle(struct reload *reload);
/* Gives up the reload under way and the one that waits. Its workers drain. The caller changes the service's state. */
void reload_cancel(struct reload *reload);

/* What the fleet reports of the next generation. */
void reload_worker_ready(struct reload *reload);
/* Its words for a failure: a traceback, kept for the one who asked. */
void reload_worker_said(struct reload *reload, const char *text, size_t n);
/* A worker or the mold of it is gone, or could not be started: the reload has failed. */
void reload_fail(struct reload *reload, const char *why);

#endif
