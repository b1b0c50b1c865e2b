/* SPDX-License-Identifier: BSD-3-Clause */
/* stacks.h: the Python stacks of workers. Each worker has a pipe to the master, into which its
 * handler of SIGUSR2 writes them, whatever its loop does. What nobody asked for goes to the log. */
#ifndef TINE_MASTER_STACKS_H
#define TINE_MASTER_STACKS_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

struct control_client;
struct master;
struct slot;

/* Of one worker. */
struct stacks_found {
    unsigned slot;
    pid_t pid;
    struct buf text; /* empty: it did not answer */
    uint64_t said_ms;
    bool over;
};

/* One question at a time; others wait in control.clients. */
struct stacks {
    struct control_client *asker; /* NULL: nobody */
    struct event timer;
    uint64_t asked_ms;
    struct stacks_found *v;
    size_t n;
};

/* Makes the client wait for its answer, which is given in its turn. */
void stacks_ask(struct master *master, struct control_client *client, unsigned pid);
void stacks_forget(struct master *master, struct control_client *client);
void stacks_done(struct master *master);

/* libevent callback: the pipe of a slot has something. */
void on_slot_stacks(int fd, short what, void *arg);
/* Signals the worker; what it says is logged. */
void stacks_to_log(struct slot *slot);
/* Logs what has come and is not new any more. Once a tick. */
void stacks_look(struct master *master);
/* The process is gone: its last words. Before slot_clear(). */
void stacks_gone(struct slot *slot);

#endif
