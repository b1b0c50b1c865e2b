/* SPDX-License-Identifier: BSD-3-Clause */
/* reload.h: a reload as a transaction: a new generation boots beside the old, and only when all of
 * its workers are READY does the old one drain. Whatever fails on the way, the old one goes on. */
#ifndef TINE_MASTER_RELOAD_H
#define TINE_MASTER_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct generation;
struct master;

struct reload {
    struct generation *next; /* boots; NULL: no reload is under way */
    bool wanted;             /* asked for while it could not begin */
    bool waits;              /* the reason for that has been logged */
    char *words;             /* what a worker of `next` said when it failed; NULL: nothing yet */
    unsigned done, failed;   /* reloads so far */
    unsigned begun;          /* the number of the last one that has begun: 1, 2, ... */
    time_t ended_at;         /* wall clock of the end of the last one; 0: there was none */
    bool last_failed;
    char *error; /* why the last one failed, at most a traceback; NULL: it did not, or there was none */
};

/* Begins a reload, or remembers it for when it can begin: after the start, after the present reload,
 * when enough of the old generations are gone. Several asked for meanwhile are one. */
void reload_request(struct master *master);
/* The same, and gives up a reload that is under way: for development. */
void reload_hurry(struct master *master);
/* Something that a reload may wait for has changed. */
void reload_try(struct master *master);
/* The service stops: no reload any more; workers of `next` drain. */
void reload_cancel(struct master *master);
void reload_done(struct reload *reload);

/* By workers.c, about workers of `next`. */
void reload_worker_ready(struct master *master);
/* Its words for FAILED: a traceback, kept for the one who asked. */
void reload_worker_said(struct master *master, const char *text, size_t n);
/* It is gone, or could not be started: the reload has failed. */
void reload_fail(struct master *master, const char *why);

#endif
