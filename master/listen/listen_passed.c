/* SPDX-License-Identifier: BSD-3-Clause */
/* listen_passed.c: sockets that another process opened: fd://N, and systemd's socket activation
 * (sd_listen_fds(3), without libsystemd). Must check what it gets: a wrong descriptor is refused by
 * name, not met later in accept(2). */
#include "master/listen/listen_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "common/plural.h"
#include "conf/conf.h"

#define FIRST_PASSED_FD 3

/* A positive number, or 0. */
static long positive(const char *text)
{
    char *end;
    if (!text || !*text)
        return 0;
    errno = 0;
    long n = strtol(text, &end, 10);
    return errno || *end || n < 0 || n > INT_MAX ? 0 : n;
}

void listen_take_passed(struct listen_passed *passed)
{
    *passed = (struct listen_passed){ 0 };
    if (positive(getenv("LISTEN_PID")) == (long)getpid()) {
        long n = positive(getenv("LISTEN_FDS"));
        const char *names = getenv("LISTEN_FDNAMES");
        passed->n = n <= INT_MAX - FIRST_PASSED_FD ? (int)n : 0;
        passed->names = names ? strdup(names) : NULL;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (int i = 0; i < passed->n; i++)
        fd_set_cloexec(FIRST_PASSED_FD + i);
}

void listen_passed_done(struct listen_passed *passed)
{
    free(passed->names);
    passed->names = NULL;
}

const char *listen_fd_fault(int fd)
{
    int type = 0, listens = 0, domain = 0;
    socklen_t n = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0)
        return errno == EBADF ? "is not open" : errno == ENOTSOCK ? "is not a socket" : strerror(errno);
    if (type != SOCK_STREAM)
        return "is not a stream socket";
    n = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0 || !listens)
        return "does not listen";
    n = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 ||
        (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
        return "is neither an IP nor a Unix socket";
    return NULL;
}

static bool is_used(const struct listeners *listeners, int fd)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (listeners->v[i].fd == fd)
            return true;
    return false;
}

int listen_fd(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind)
{
    const char *wrong = before && is_used(before, bind->fd) ? "belongs to another bind" : listen_fd_fault(bind->fd);
    if (wrong) {
        log_critical("bind %s: descriptor %d %s", bind->text, bind->fd, wrong);
        return -1;
    }
    int fd = bind->fd;
    if (fd <= STDERR_FILENO && (fd = fcntl(bind->fd, F_DUPFD_CLOEXEC, FIRST_PASSED_FD)) < 0) {
        log_critical("bind %s: %s", bind->text, strerror(errno));
        return -1;
    }
    return listeners_add(listeners, bind, fd);
}

/* The i-th of the names between colons. */
static int name_at(const char *names, int i, const char **ret)
{
    for (; names && i > 0; i--) {
        names = strchr(names, ':');
        names = names ? names + 1 : NULL;
    }
    *ret = names ? names : "?";
    return names ? (int)strcspn(names, ":") : 1;
}

int listen_systemd(struct listeners *listeners, const struct conf_bind *bind, struct listen_passed *passed)
{
    if (!passed->n) {
        log_critical("bind %s: no sockets were passed (LISTEN_FDS is not set for this process)", bind->text);
        return -1;
    }
    if (passed->used) {
        log_critical("bind %s: named twice", bind->text);
        return -1;
    }
    passed->used = true;
    for (int i = 0; i < passed->n; i++) {
        int fd = FIRST_PASSED_FD + i;
        const char *name;
        int n = name_at(passed->names, i, &name);
        const char *wrong = listen_fd_fault(fd);
        if (wrong) {
            log_critical("bind %s: descriptor %d (%.*s) %s", bind->text, fd, n, name, wrong);
            return -1;
        }
        if (listeners_add(listeners, bind, fd) < 0)
            return -1;
        log_debug("bind %s: descriptor %d (%.*s) is %s", bind->text, fd, n, name, listeners->v[listeners->n - 1].text);
    }
    return 0;
}

void listen_passed_close_unused(const struct listeners *listeners, struct listen_passed *passed)
{
    int unused = 0;
    for (int fd = FIRST_PASSED_FD; fd < FIRST_PASSED_FD + passed->n; fd++) {
        if (!is_used(listeners, fd)) { /* fd://3 may have taken it */
            close(fd);
            unused++;
        }
    }
    if (unused)
        log_warning("%d socket%s passed by LISTEN_FDS %s not used: no bind says systemd", unused,
                    plural((unsigned)unused), unused == 1 ? "is" : "are");
    passed->n = 0;
}
