/* SPDX-License-Identifier: BSD-3-Clause */
/* fdutil.h: small things about file descriptors. */
#ifndef TINE_COMMON_FDUTIL_H
#define TINE_COMMON_FDUTIL_H

#include <stddef.h>

/* 0, or -1 with errno. */
int fd_set_nonblocking(int fd);
int fd_set_cloexec(int fd);
/* Closes *fd if it is open (>= 0), disowned (forked.h), and makes it -1; errno is kept. */
void fd_close(int *fd);
/* Writes everything to a blocking descriptor. 0, or -1 with errno. */
int fd_write_all(int fd, const void *p, size_t n) __attribute__((warn_unused_result));

/* The path, whole: of a working directory that may change. To be freed; NULL with errno. */
char *path_absolute(const char *path);

#endif
