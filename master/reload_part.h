/* SPDX-License-Identifier: BSD-3-Clause */
/* reload_part.h: who takes part in a reload. Parts are prepared in the order of their table; when one fails, or the new
 * generation does, those that were prepared are rolled back in reverse order. */
#ifndef TINE_MASTER_RELOAD_PART_H
#define TINE_MASTER_RELOAD_PART_H

struct generation;

struct reload_part {
    const char *name;
    /* Gets ready for the configuration of `next` without touching what serves. 0, or -1: *ret_why is the reason, to be
     * freed (NULL: out of memory), and nothing is left to be rolled back. NULL: nothing to prepare. */
    int (*prepare)(void *arg, struct generation *next, char **ret_why);
    /* `next` serves from now on and is fleet->current already. Cannot fail. NULL: nothing to do. */
    void (*commit)(void *arg, struct generation *old, struct generation *now);
    /* There will be no commit: undoes prepare. `next` is freed later. NULL: nothing to undo. */
    void (*rollback)(void *arg, struct generation *next);
};

#endif
