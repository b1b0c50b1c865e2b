/* SPDX-License-Identifier: BSD-3-Clause */
/* spawn.h: the birth of a process that runs the application: a worker, or a mold of workers. */
#ifndef TINE_MASTER_SPAWN_H
#define TINE_MASTER_SPAWN_H

#include <signal.h>
#include <sys/types.h>

struct fleet;
struct generation;
struct slot;

/* Between us, index 0, and a worker. */
struct spawn_channels {
    int ipc[2], stacks[2];
};

/* 0, or -1 with errno. */
int spawn_channels_open(struct spawn_channels *channels);
void spawn_channels_close(struct spawn_channels *channels, unsigned side);

/* Forks a worker of the slot's generation into the slot, which is EMPTY: STARTING, boot_timeout running. 0, or -1 logged:
 * the slot stays EMPTY. Does not return in the child. */
int spawn_worker(struct slot *slot) __attribute__((warn_unused_result));
/* The same, but a mold has forked the worker already, and this is its process id. Takes our side of the channels. */
void spawn_adopt(struct slot *slot, pid_t pid, struct spawn_channels *channels);
/* Its process id and our end of its channel, or -1 logged. Does not return in the child. */
pid_t spawn_mold(const struct fleet *fleet, const struct generation *generation, int *ret_fd);
/* In a child: signals as a fresh program has them, but for those that are to be blocked; SIGPIPE stays ignored, as every
 * write reports EPIPE. */
void spawn_default_signals(const sigset_t *blocked);

#endif
