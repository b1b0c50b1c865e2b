/* slots.h: the table of workers: which process sits in which slot and how far it is in its life.
 * Holds no policy but the back-off between births. */
#ifndef TINE_MASTER_SLOTS_H
#define TINE_MASTER_SLOTS_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SLOTS_MAX 1024

enum slot_state {
    SLOT_EMPTY,    /* no process; perhaps one is due (timer) */
    SLOT_STARTING, /* forked, not READY yet; timer: boot_timeout */
    SLOT_READY,    /* accepts */
    SLOT_DRAINING, /* was told to stop, or stops by itself; timer: then it is killed */
    SLOT_KILLED,   /* SIGKILL sent, not reaped yet */
};

struct master;

struct slot {
    struct master *master;
    unsigned index;
    unsigned generation;
    enum slot_state state;
    pid_t pid;             /* 0: none */
    int ipc_fd;            /* -1: none */
    struct event ipc;      /* readable: a message or EOF */
    struct event timer;    /* by state, see above */
    uint64_t ready_ms;     /* clock_ms() of READY; 0: not in this life */
    bool main_interpreter; /* this life was told to use the main interpreter */
    bool failed;           /* its failure has been logged in its own words (IPC_FAILED) */
    bool asked;            /* we told it to stop */
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
/* Slots that hold a process. */
unsigned slots_alive(const struct slots *slots);

/* The process is gone: what belonged to it is closed and forgotten, state EMPTY. */
void slot_clear(struct slot *slot);

/* Milliseconds to wait before the slot gets its next process after an unwanted death; longer each
 * time, short again after a life that was READY for a while. Call before slot_clear(). */
unsigned slot_backoff(struct slot *slot, uint64_t now_ms);

#endif
