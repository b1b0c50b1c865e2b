/* SPDX-License-Identifier: BSD-3-Clause */
/* slots.h: the table of workers: which process sits in which slot, how far it is in its life, and how it will leave.
 * Owns what belongs to a slot (descriptors, events, its one timer) and no policy but the back-off between births. */
#ifndef TINE_MASTER_FLEET_SLOTS_H
#define TINE_MASTER_FLEET_SLOTS_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/heritage.h"
#include "master/fleet/hosting.h"

#define WORKERS_MAX 1024 /* of one generation */
#define SLOTS_MAX 2048   /* a new generation boots beside the old */

enum slot_state {
    SLOT_EMPTY,    /* no process; perhaps one is due (timer) */
    SLOT_STARTING, /* forked, not READY yet; timer: boot_timeout */
    SLOT_READY,    /* accepts */
    SLOT_DRAINING, /* was told to stop, or stops by itself; timer: then it is killed */
    SLOT_KILLED,   /* SIGKILL sent, not reaped yet */
};

/* How the worker of a slot will leave it. From SLOT_SELF on it is not one of the workers that are wanted. */
enum slot_farewell {
    SLOT_STAYS,      /* nothing is decided */
    SLOT_RECYCLE,    /* it is to be replaced, and serves until its replacement is READY */
    SLOT_HUNG,       /* it gave no sign of life and is killed when the timer fires */
    SLOT_SELF,       /* it stops by itself */
    SLOT_ASKED,      /* we told it to stop */
    SLOT_HASTY,      /* the same, but it gets only a moment before it is told to stop at once (server.reload) */
    SLOT_HUNG_ASKED, /* SLOT_HUNG, and it would have been told to stop, or was, and has not ended in time */
};

struct fleet;
struct generation;
struct mold_order;

struct slot {
    struct fleet *fleet;
    unsigned index;
    struct generation *generation; /* NULL: the slot is free */
    enum slot_state state;
    enum slot_farewell farewell;
    struct mold_order *order; /* a mold has been asked to fill the slot; NULL: no */
    pid_t pid;                /* 0: none */
    int ipc_fd;               /* -1: none */
    struct event ipc;         /* readable: a message or EOF */
    int stacks_fd;            /* the worker writes its stacks there; -1: none */
    struct event stacks;      /* readable: some have come */
    struct buf stacks_text;   /* for the log */
    uint64_t stacks_ms;       /* clock_ms() when the last of them came */
    struct event timer;       /* by state, see above */
    uint64_t started_ms;      /* clock_ms() of the fork */
    uint64_t ready_ms;        /* clock_ms() of READY; 0: not in this life */
    uint64_t quit_ms;         /* clock_ms() of QUIT, until it has been looked whether the worker follows; 0: none */
    uint64_t due_ms;          /* SLOT_RECYCLE: clock_ms() when that was decided */
    bool waits;               /* EMPTY: to be filled when fewer workers of its generation boot */
    bool due_by_limit;        /* SLOT_RECYCLE: a limit of the master's decided it, not the worker */
    bool proved;              /* of a generation that rolls in: a worker in it has proved itself; see roll.h */
    bool main_interpreter;    /* this life was told to use the main interpreter */
    enum hosting hosting;     /* how far the process is in becoming a Python */
    bool failure_logged;      /* the worker has said itself why it failed (IPC_FAILED) */
    bool refused;             /* it has said that something refuses sub-interpreters (IPC_NEED_MAIN) */
    char *failure;            /* why it failed, kept back: the main interpreter may work; NULL: nothing */
    unsigned backoff_ms;      /* before the next birth; 0: none */
    unsigned early;           /* lives in a row that ended within WORKER_PROOF_MS of READY */
};

/* libevent callbacks with the slot as argument. */
struct slot_events {
    event_callback_fn timer;
    event_callback_fn ipc;    /* the worker said something or closed its end */
    event_callback_fn stacks; /* its pipe has something */
};

struct slots {
    struct slot *v; /* room for SLOTS_MAX */
    unsigned n;     /* how many of them have ever been used: a slot that is free is used again first */
    struct fleet *fleet;
    const struct slot_events *on;
};

/* The fleet's event base is there already. 0, or -1 with errno. */
int slots_init(struct slots *slots, struct fleet *fleet, const struct slot_events *on);
/* Before the event base is freed. */
void slots_done(struct slots *slots);

/* The only way to change a state; a step that is not in the table of slots.c is a bug. */
void slot_set_state(struct slot *slot, enum slot_state state);
/* The only way to change a farewell; again a step that is not in its table is a bug. */
void slot_set_farewell(struct slot *slot, enum slot_farewell farewell);
/* It stops, asked or by itself, and does not count as one of the workers wanted. */
bool slot_leaves(const struct slot *slot);
bool slot_was_asked(const struct slot *slot);
bool slot_is_hung(const struct slot *slot);
/* READY, of this generation, and staying for now (it may be due for replacement). */
bool slot_serves(const struct slot *slot, const struct generation *generation);

struct slot *slots_find(struct slots *slots, pid_t pid);
unsigned slots_count(const struct slots *slots, enum slot_state state);
/* READY workers of one generation. */
unsigned slots_ready(const struct slots *slots, const struct generation *generation);
/* Those of a generation that serve, will serve, or are due to be filled again. */
unsigned slots_wanted(const struct slots *slots, const struct generation *generation);
/* The first worker of the generation that serves and is due for replacement; NULL: none. */
struct slot *slots_first_due(const struct slots *slots, const struct generation *generation);
/* The one of a generation that can be done without: due for replacement, not READY, or the last; NULL: it has none. */
struct slot *slots_least_wanted(const struct slots *slots, const struct generation *generation);
/* Slots that hold a process. */
unsigned slots_alive(const struct slots *slots);

/* The first free slot becomes the generation's. NULL: all are in use. */
struct slot *slots_take(struct slots *slots, struct generation *generation);
unsigned slots_free(const struct slots *slots);
/* An EMPTY slot becomes free. Its generation, which may have no slot left. */
struct generation *slot_release(struct slot *slot);

/* Watches the channel and the pipe of a new worker. 0, or -1. */
int slot_listen(struct slot *slot) __attribute__((warn_unused_result));
/* (Re)starts the slot's one timer. */
void slot_arm(struct slot *slot, uint64_t ms);

/* The process is gone: closes and forgets what belonged to it; state EMPTY. The slot stays its generation's, and one
 * that was leaving stays so: it is not filled again. */
void slot_clear(struct slot *slot);

/* Milliseconds to wait before the slot gets its next process after an unwanted death; longer each time, short again
 * after a life that was READY for a while. `answered`: this life answered a request, so another short life is better
 * than none. Call before slot_clear(). */
unsigned slot_backoff(struct slot *slot, uint64_t now_ms, bool answered);

#endif
