/* SPDX-License-Identifier: BSD-3-Clause */
/* static_open.h: from the path of a URL to an open file below a folder, and to nothing outside of it. */
#ifndef TINE_HTTP_STATIC_OPEN_H
#define TINE_HTTP_STATIC_OPEN_H

#include <limits.h>
#include <stdbool.h>

#include "common/span.h"

/* A path relative to the folder; "" is the folder itself. Room for a suffix of up to 8 bytes. */
struct static_path {
    char s[PATH_MAX + 8];
    size_t n;
    bool slash; /* it ended with a slash, or is empty: a folder was asked for */
};

/* Decodes once. `rest` is what follows the prefix: empty, or it begins with a slash. False when the path must not be
 * looked up: "." and "..", names that begin with a dot (but for /.well-known/, RFC 8615), empty names, NUL, an encoded
 * slash, a % without two hexadecimal digits, more than PATH_MAX. */
bool static_path_decode(struct static_path *to, struct span rest) __attribute__((warn_unused_result));

/* A folder that files are opened below. It is held open: what happens to its name, or to the working folder, does not
 * change where files come from. */
struct static_root {
    int fd;            /* O_PATH */
    bool follow_links; /* symbolic links may lead out of the folder */
    bool walk;         /* the kernel has no openat2(2), or a filter forbids it */
};

/* Opens `dir`, which is relative to the folder `at` if it does not begin with a slash. 0, or -1 with errno. */
int static_root_open(struct static_root *root, int at, const char *dir, bool follow_links)
    __attribute__((warn_unused_result));
void static_root_close(struct static_root *root);

/* Whether the folder itself has been removed, so that nothing will ever be found in it again. */
bool static_root_is_removed(const struct static_root *root);

/* Opens for reading, without waiting for a writer. Symbolic links are followed as long as they are relative and stay
 * below the folder at each step; with follow_links, wherever they lead. The descriptor, or -1 with errno. */
int static_root_file(const struct static_root *root, const char *path) __attribute__((warn_unused_result));

#endif
