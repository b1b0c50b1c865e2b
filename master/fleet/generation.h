/* SPDX-License-Identifier: BSD-3-Clause */
/* generation.h: one configuration and the workers that are started from it. A reload makes a new one beside the old; an
 * old one lives until its last worker is gone. */
#ifndef TINE_MASTER_GENERATION_H
#define TINE_MASTER_GENERATION_H

#include <stdbool.h>
#include <sys/queue.h>

#include "master/fleet/certs.h"
#include "master/listen/listeners.h"

struct conf;
struct conf_loaded;
struct mold;

struct generation {
    unsigned number; /* 1, 2, ... */
    struct conf_loaded *loaded;
    const struct conf *conf; /* in `loaded` */
    unsigned target; /* workers wanted */
    bool main_interpreter; /* its application refused a sub-interpreter */
    bool no_bytecode; /* its code may change within the second: workers write no compiled files */
    struct listeners listeners;
    struct certs certs;
    struct mold *mold; /* NULL: workers are forked from us, or there are none yet */
    unsigned n_slots; /* slots that are its own: with a process, or one is due */
    LIST_ENTRY(generation) link; /* in the list of those that end, by master.c */
};

/* Takes `loaded` in any case. NULL: out of memory. */
struct generation *generation_new(struct conf_loaded *loaded, unsigned number);
/* Closes its listeners. NULL: nothing. */
void generation_free(struct generation *generation);

#endif
