/* SPDX-License-Identifier: BSD-3-Clause */
/* pidfile.c: the file is made under a temporary name and then linked into place, so
 * that it is never seen half-written and never taken from another process that starts at the same
 * time. */
#include "master/system/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"

/* The id in the file; 0: it is empty (a full disk may have left it so); -1 with errno: it cannot be
 * read, EINVAL: it holds something else, ELOOP: it is a link, perhaps to nothing. */
static pid_t read_pid(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return -1;
    char text[32];
    ssize_t n = read(fd, text, sizeof(text) - 1);
    fd_close(&fd);
    if (n < 0)
        return -1;
    text[n] = '\0';
    if (n == 0)
        return 0;
    char *end;
    long pid = strtol(text, &end, 10);
    while (*end == '\n' || *end == ' ')
        end++;
    if (end == text || *end || pid <= 0 || pid > INT32_MAX) {
        errno = EINVAL;
        return -1;
    }
    return (pid_t)pid;
}

static bool is_alive(pid_t pid)
{
    return pid > 0 && pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM);
}

/* A new file beside `path` with our id. Returns its name (to be freed), or NULL with errno. */
static char *write_beside(const char *path)
{
    char *name = NULL;
    if (asprintf(&name, "%s.%d", path, (int)getpid()) < 0)
        return NULL;
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (fd < 0 || fd_write_all(fd, text, (size_t)n) < 0) {
        int saved = errno;
        if (fd >= 0)
            unlink(name);
        fd_close(&fd);
        free(name);
        errno = saved;
        return NULL;
    }
    fd_close(&fd);
    return name;
}

/* 0; 1: try again; -1 logged. */
static int take_away_stale(const char *path)
{
    pid_t pid = read_pid(path);
    if (pid < 0 && errno == ENOENT)
        return 1;
    if (pid < 0) {
        log_critical("pidfile %s: %s", path,
                     errno == EINVAL  ? "exists and does not hold a process id: remove it or name another"
                     : errno == ELOOP ? "is a symbolic link, which a pidfile never is: remove it or name another"
                                      : strerror(errno));
        return -1;
    }
    if (is_alive(pid)) {
        log_critical("pidfile %s: already running with pid %d", path, (int)pid);
        return -1;
    }
    if (pid != getpid())
        log_warning("pidfile %s was left by process %d, which is gone: replacing it", path, (int)pid);
    if (unlink(path) < 0 && errno != ENOENT) {
        log_critical("pidfile %s: %s", path, strerror(errno));
        return -1;
    }
    return 1;
}

int pidfile_write(const char *path)
{
    char *name = write_beside(path);
    if (!name) {
        log_critical("pidfile %s: %s", path, strerror(errno));
        return -1;
    }
    int rc;
    do {
        rc = link(name, path);
        if (rc < 0 && errno == EEXIST)
            rc = take_away_stale(path);
        else if (rc < 0)
            log_critical("pidfile %s: %s", path, strerror(errno));
    } while (rc > 0);
    unlink(name);
    free(name);
    return rc;
}

/* "PATH.oldbin", to be freed. NULL: out of memory. */
static char *retired_name(const char *path)
{
    char *name = NULL;
    return asprintf(&name, "%s.oldbin", path) < 0 ? NULL : name;
}

static void remove_if_of(const char *path, pid_t pid)
{
    if (read_pid(path) == pid)
        unlink(path);
}

void pidfile_remove(const char *path)
{
    char *retired = path ? retired_name(path) : NULL;
    if (path)
        remove_if_of(path, getpid());
    if (retired)
        remove_if_of(retired, getpid());
    free(retired);
}

int pidfile_retire(const char *path)
{
    char *retired = retired_name(path);
    int rc = retired ? rename(path, retired) : -1;
    if (rc < 0)
        log_error("pidfile %s: cannot be renamed to .oldbin: %s", path, strerror(errno));
    free(retired);
    return rc;
}

void pidfile_return(const char *path)
{
    char *retired = retired_name(path);
    if (!retired || rename(retired, path) < 0)
        log_error("pidfile %s: cannot be renamed back from .oldbin: %s", path, strerror(errno));
    free(retired);
}

void pidfile_forget_retired(const char *path, pid_t pid)
{
    char *retired = retired_name(path);
    if (retired)
        remove_if_of(retired, pid);
    free(retired);
}
