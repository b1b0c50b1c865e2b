/* SPDX-License-Identifier: BSD-3-Clause */
/* state_folder.c: see state_folder.h. The master may be root, and the environment may name the folder of somebody else:
 * must never write, or believe, what another user could have put there. */
#include "master/system/state_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdutil.h"

static bool is_ours(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
        return false;
    return geteuid() != 0 || !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* Closes `fd` if it is another user's. */
static int keep_if_ours(int fd)
{
    if (fd >= 0 && !is_ours(fd))
        fd_close(&fd);
    return fd;
}

/* Takes `fd`. */
static int step_into(int fd, const char *name, bool make)
{
    if (fd < 0)
        return -1;
    if (make && mkdirat(fd, name, 0700) < 0 && errno != EEXIST) {
        fd_close(&fd);
        return -1;
    }
    int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    fd_close(&fd);
    return keep_if_ours(next);
}

static int open_base(const char *path)
{
    if (!path || path[0] != '/')
        return -1;
    return keep_if_ours(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* systemd lists several, if there are, with colons between them. */
static int open_systemd(void)
{
    const char *list = getenv("STATE_DIRECTORY");
    char path[PATH_MAX];
    size_t n = list ? strcspn(list, ":") : 0;
    if (!n || n >= sizeof(path))
        return -1;
    memcpy(path, list, n);
    path[n] = '\0';
    return open_base(path);
}

int state_folder_open(bool make)
{
    int fd = open_systemd();
    if (fd < 0)
        fd = step_into(open_base(getenv("XDG_STATE_HOME")), "tine", make);
    if (fd < 0)
        fd = step_into(step_into(step_into(open_base(getenv("HOME")), ".local", make), "state", make), "tine", make);
    return fd;
}

/* NULL: it is not to be had. */
static char *read_all(int fd, size_t most)
{
    struct stat st;
    if (!is_ours(fd) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size > most)
        return NULL;
    char *text = malloc((size_t)st.st_size + 1);
    ssize_t n = text ? read(fd, text, (size_t)st.st_size) : -1;
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

char *state_file_read(const char *name, size_t most)
{
    int folder = state_folder_open(false);
    int fd = folder < 0 ? -1 : openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : read_all(fd, most);
    fd_close(&fd);
    fd_close(&folder);
    return text;
}

/* 0, or -1 with errno: the file is not there then. */
static int write_new(int folder, const char *name, const char *text)
{
    unlinkat(folder, name, 0);
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -1 : fd_write_all(fd, text, strlen(text));
    int saved = errno;
    fd_close(&fd);
    if (rc < 0)
        unlinkat(folder, name, 0);
    errno = saved;
    return rc;
}

int state_file_write(const char *name, const char *text)
{
    char beside[NAME_MAX + 1];
    int folder = state_folder_open(true), rc = -1;
    if (folder < 0) {
        errno = ENOENT;
        return -1;
    }
    snprintf(beside, sizeof(beside), "%.200s.%d", name, (int)getpid());
    if (write_new(folder, beside, text) == 0 && (rc = renameat(folder, beside, folder, name)) < 0)
        unlinkat(folder, beside, 0);
    int saved = errno;
    fd_close(&folder);
    errno = saved;
    return rc;
}
