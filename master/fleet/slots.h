/* SPDX-License-Identifier: BSD-3-Clause */
/* slots.h: the table of workers: which process sits in which slot and how far it is in its life.
 * Holds no policy but the back-off between births. */
#ifndef TINE_MASTER_SLOTS_H
#define TINE_MASTER_SLOTS_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

#define WORKERS_MAX 1024 /* of one generation */
#define SLOTS_MAX 2048   /* a new generation boots beside the old */

enum slot_state {
    SLOT_EMPTY,    /* no process; perhaps one is due (timer) */
    SLOT_STARTING, /* forked, not READY yet; timer: boot_timeout */
    SLOT_READY,    /* accepts */
    SLOT_DRAINING, /* was told to stop, or stops by itself; timer: then it is killed */
    SLOT_KILLED,   /* SIGKILL sent, not reaped yet */
};

struct generation;
struct master;
struct mold_order;

struct slot {
    struct master *master;
    unsigned index;
    struct generation *generation; /* NULL: free */
    enum slot_state state;
    struct mold_order *order; /* a mold has been asked to fill it; NULL: no */
    pid_t pid;             /* 0: none */
    int ipc_fd;            /* -1: none */
    struct event ipc;      /* readable: a message or EOF */
    int stacks_fd;         /* it writes its stacks there; -1: none */
    struct event stacks;   /* readable: some have come */
    struct buf stacks_text; /* for the log */
    uint64_t stacks_ms;    /* clock_ms() of the last of them */
    struct event timer;    /* by state, see above */
    uint64_t started_ms;   /* clock_ms() of the fork */
    uint64_t ready_ms;     /* clock_ms() of READY; 0: not in this life */
    bool main_interpreter; /* this life was told to use the main interpreter */
    bool failed;           /* its failure has been logged in its own words (IPC_FAILED) */
    bool asked;            /* we told it to stop */
    bool recycle;          /* it is to be replaced */
    bool hung;             /* it gave no sign of life, and is killed when the timer is over */
    bool hasty;            /* drains for a moment only (server.reload), then is told to stop at once */
    bool leaves;           /* it stops, asked or by itself: not one of those wanted any more */
    unsigned backoff_ms;   /* before the next birth; 0: none */
};

struct slots {
    struct slot *v; /* SLOTS_MAX of them */
};

/* 0, or -1 with errno. */
int slots_init(struct slots *slots, struct master *master);
void slots_done(struct slots *slots);

/* The only way to change a state; a step that is not in the table of slots.c is a bug. */
void slot_set_state(struct slot *slot, enum slot_state state);

struct slot *slots_find(struct slots *slots, pid_t pid);
unsigned slots_count(const struct slots *slots, enum slot_state state);
/* Of one generation. */
unsigned slots_ready(const struct slots *slots, const struct generation *generation);
/* Those that serve, will serve, or are due to be filled again. */
unsigned slots_wanted(const struct slots *slots, const struct generation *generation);
/* Slots that hold a process. */
unsigned slots_alive(const struct slots *slots);

/* The first free slot becomes the generation's. NULL: all are in use. */
struct slot *slots_take(struct slots *slots, struct generation *generation);
unsigned slots_free(const struct slots *slots);
/* An EMPTY slot is free again. Its generation, which may be over now. */
struct generation *slot_release(struct slot *slot);

/* The process is gone: what belonged to it is closed and forgotten, state EMPTY. The slot stays its
 * generation's, and `leaves` what it is. */
void slot_clear(struct slot *slot);

/* Milliseconds to wait before the slot gets its next process after an unwanted death; longer each
 * time, short again after a life that was READY for a while. Call before slot_clear(). */
unsigned slot_backoff(struct slot *slot, uint64_t now_ms);

#endif
