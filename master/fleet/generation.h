/* SPDX-License-Identifier: BSD-3-Clause */
/* generation.h: one configuration and the workers that are started from it. A reload makes a new one beside the old; an
 * old one lives until its last worker is gone. */
#ifndef TINE_MASTER_GENERATION_H
#define TINE_MASTER_GENERATION_H

#include <stdbool.h>
#include <sys/queue.h>

#include "common/heritage.h"
#include "master/fleet/certs.h"
#include "master/fleet/verdict.h"
#include "master/listen/listeners.h"

struct conf;
struct conf_loaded;
struct mold;

struct generation {
    unsigned number; /* 1, 2, ... */
    struct conf_loaded *loaded;
    const struct conf *conf; /* in `loaded` */
    unsigned target; /* workers wanted */
    struct verdict verdict; /* the interpreter that its application lives in; see generation_lives_in_main() */
    char *environment; /* what the verdict depends on: paths, one a line; NULL: not heard yet */
    bool lingers; /* it has failed in a roll, and serves until the current one has workers again; see roll.h */
    bool no_bytecode; /* its code may change within the second: workers write no compiled files */
    struct held_module module; /* that its workers have loaded; see hosting.h */
    char *python; /* the one that its workers are, by their word; NULL: not heard yet */
    struct listeners listeners;
    struct certs certs;
    struct mold *mold; /* NULL: workers are forked from us, or there are none yet */
    unsigned n_slots; /* slots that are its own: with a process, or one is due */
    LIST_ENTRY(generation) link; /* in the list of those that end, by master.c */
};

/* Takes `loaded` in any case. NULL: out of memory. */
struct generation *generation_new(struct conf_loaded *loaded, unsigned number);
/* Whether a process that is born now runs the application in Python's main interpreter: the one place where this is
 * decided (verdict.h). heritage.h hands it down. */
bool generation_lives_in_main(const struct generation *generation);
/* A child is about to become this Python ("/usr/bin/python3 (app.python)"): logged where it is news. */
void generation_becomes(struct generation *generation, const char *python);
/* A worker in the main interpreter has said what its environment is made of. */
void generation_set_environment(struct generation *generation, const char *paths);
/* What to add to the log line on a child that ended, or was ended, before that Python said that it runs; to be freed.
 * NULL: out of memory. */
char *generation_doubt(const struct generation *generation);
/* Closes its listeners. NULL: nothing. */
void generation_free(struct generation *generation);

#endif
