/* SPDX-License-Identifier: BSD-3-Clause */
/* fdutil.c: small helpers for descriptors. */
#include "common/fdutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/forked.h"

int fd_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return flags & O_NONBLOCK ? 0 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int fd_set_cloexec(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0)
        return -1;
    return flags & FD_CLOEXEC ? 0 : fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

void fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        forked_close(*fd);
    *fd = -1;
    errno = saved;
}

int fd_write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t done = write(fd, at, n);
        if (done < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

char *path_absolute(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    char *cwd = getcwd(NULL, 0);
    char *whole = NULL;
    if (cwd && asprintf(&whole, "%s/%s", cwd, path) < 0)
        whole = NULL;
    free(cwd);
    return whole;
}
