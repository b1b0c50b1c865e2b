/* SPDX-License-Identifier: BSD-3-Clause */
/* upgrade_exec.h: from a running master to the process of a new binary. */
#ifndef TINE_MASTER_UPGRADE_EXEC_H
#define TINE_MASTER_UPGRADE_EXEC_H

#include <sys/types.h>

struct upgrade;

/* What the new binary finds in its environment: its sockets, and "PID:FD" of the old master and the
 * channel to it. */
#define UPGRADE_ENV_SOCKETS "TINE_FDS"
#define UPGRADE_ENV_FROM "TINE_UPGRADE_FROM"

/* The file that argv[0] names, as execvp(3) would find it, absolute; malloc'ed. NULL: there is none. */
char *upgrade_find_program(const char *argv0);
/* Starts it with our arguments, environment and start folder; `channel` is its end of the socketpair.
 * Its id, or -1 logged. */
pid_t upgrade_exec(const struct upgrade *upgrade, int channel);

#endif
