/* SPDX-License-Identifier: BSD-3-Clause */
/* trusted.h: opening a file for root in a folder that other users may write to. */
#ifndef TINE_COMMON_TRUSTED_H
#define TINE_COMMON_TRUSTED_H

#include <sys/types.h>

/* open(2), but that a symbolic link, anywhere in the path, is followed only if root or whom this process runs as made
 * it: else the user of an application whose log is in its own folder could lead root to any file. EACCES: there is
 * such a link. */
int trusted_open(const char *path, int flags, mode_t mode) __attribute__((warn_unused_result));

#endif
