/* SPDX-License-Identifier: BSD-3-Clause */
/* stacks.h: the Python stacks of workers. Each worker has a pipe to the master, into which its handler of SIGUSR2
 * writes them, whatever its loop does. Stacks that no question asked for go to the error log. */
#ifndef TINE_MASTER_FLEET_STACKS_H
#define TINE_MASTER_FLEET_STACKS_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

struct fleet;
struct slot;

/* What one worker answered. */
struct stacks_found {
    unsigned slot;
    pid_t pid;
    struct buf text;  /* empty: it did not answer */
    uint64_t said_ms; /* clock_ms() when the last of it came; 0: nothing yet */
    bool complete;
};

/* The answers of `n` workers, valid during the call. The next question may be asked from here. */
typedef void stacks_done_fn(void *arg, const struct stacks_found *v, size_t n);

/* One question at a time. */
struct stacks {
    stacks_done_fn *done; /* NULL: no question is open */
    void *arg;
    struct event timer;
    uint64_t asked_ms;
    struct stacks_found *v;
    size_t n;
};

/* Answered on the same pipe. */
enum stacks_question {
    STACKS_THREADS, /* the Python stacks of all threads: by a signal, even if the loop hangs */
    STACKS_TASKS, /* tasks of the loop, and what they wait for: by the loop */
};

/* Asks the worker with this process id, or all (0); `done` is called once, from the event loop, after
 * at most a few seconds. No question may be open. NULL, or why nothing was asked. */
const char *stacks_ask(struct fleet *fleet, enum stacks_question what, pid_t pid, stacks_done_fn *done, void *arg)
    __attribute__((warn_unused_result));
/* The answers to an open question are not wanted any more: `done` is not called. */
void stacks_cancel(struct stacks *stacks);
bool stacks_are_asked(const struct stacks *stacks);

/* libevent callback: the pipe of a slot has something. */
void stacks_on_readable(evutil_socket_t fd, short what, void *slot);
/* Signals the worker; what it writes is logged. */
void stacks_to_log(struct slot *slot);
/* A worker or mold ("worker 1") was not ready in `ms` milliseconds, which is logged: asks for its stacks. */
void stacks_of_late(const struct fleet *fleet, const char *who, pid_t pid, uint64_t ms);
/* Logs stack output once it has been quiet for PAUSE_MS. Once a tick. */
void stacks_tick(struct fleet *fleet);
/* The process is gone: takes its last words. Before slot_clear(). */
void stacks_gone(struct slot *slot);

#endif
