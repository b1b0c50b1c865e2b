/* SPDX-License-Identifier: BSD-3-Clause */
/* pidfile.h: the file that names the running master. */
#ifndef TINE_MASTER_PIDFILE_H
#define TINE_MASTER_PIDFILE_H

#include <sys/types.h>

/* Writes our id. Refuses while the process named in the file lives; replaces a stale file. 0, or -1
 * logged. */
int pidfile_write(const char *path) __attribute__((warn_unused_result));
/* Removes the file, retired or not, if it still names us. NULL: nothing. */
void pidfile_remove(const char *path);

/* Makes room for the file of a new binary: PATH becomes PATH.oldbin. 0, or -1 logged. */
int pidfile_retire(const char *path) __attribute__((warn_unused_result));
/* The new binary is gone: takes the name back. Logged when it fails. */
void pidfile_return(const char *path);
/* Removes PATH.oldbin if it names `pid`, which is gone. */
void pidfile_forget_retired(const char *path, pid_t pid);

#endif
