/* SPDX-License-Identifier: BSD-3-Clause */
/* daemon.h: running in the background. The process that was started stays until the service is
 * ready or has failed, and exits with what came of it. */
#ifndef TINE_MASTER_DAEMON_H
#define TINE_MASTER_DAEMON_H

#include <stdbool.h>

struct daemon {
    bool on;
    int parent_fd; /* pipe to the process that was started; -1: it has its answer */
};

/* Returns in the daemon only: 0, or -1 logged when forking failed. It still has its standard
 * streams, for messages of the start. */
int daemon_start(struct daemon *daemon) __attribute__((warn_unused_result));
/* The start has ended: lets the first process exit with this status. Once; later calls do nothing. */
void daemon_tell_parent(struct daemon *daemon, int status);
/* Standard input and output become /dev/null, standard error the error log if that is a file. */
void daemon_detach_stdio(void);

#endif
