/* SPDX-License-Identifier: BSD-3-Clause */
/* state_folder.h: where the master keeps small files that outlive it. */
#ifndef TINE_MASTER_STATE_FOLDER_H
#define TINE_MASTER_STATE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* A descriptor of the first of these folders that is this user's alone: STATE_DIRECTORY (systemd), XDG_STATE_HOME/tine,
 * HOME/.local/state/tine; `make`: what is missing of the last two is made. -1: there is none. No link is followed below
 * the folder that the environment names, and for root nobody else may write to any of them. */
int state_folder_open(bool make) __attribute__((warn_unused_result));
/* The whole file, NUL-terminated, to be freed; NULL: not there, longer than `most`, no regular file of this user's, or out
 * of memory. */
char *state_file_read(const char *name, size_t most);
/* Replaces the file as a whole: a reader sees the old one or the new one. 0, or -1 with errno (ENOENT: no folder). */
int state_file_write(const char *name, const char *text) __attribute__((warn_unused_result));

#endif
