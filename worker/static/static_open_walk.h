/* SPDX-License-Identifier: BSD-3-Clause */
/* static_open_walk.h: what openat2(2) does with RESOLVE_BENEATH, for where it is missing. */
#ifndef TINE_STATIC_OPEN_WALK_H
#define TINE_STATIC_OPEN_WALK_H

/* Opens `path`, which is less than PATH_MAX bytes and "" for the folder itself, below the folder `root` with `flags`.
 * Relative links that stay below are followed, 40 of them at most. The descriptor, or -1 with errno: EXDEV where a link
 * leads out or begins with a slash, ENAMETOOLONG also for folders that lie too deep. */
int static_open_walk(int root, const char *path, int flags) __attribute__((warn_unused_result));

#endif
