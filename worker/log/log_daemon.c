/* SPDX-License-Identifier: BSD-3-Clause */
/* log_daemon.c: sends access log lines to syslog or journald as datagrams, connecting again when the daemon was
 * restarted. */
#include "worker/log/log_daemon.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/forked.h"
#include "common/log.h"

/* facility daemon (3), severity info (6): RFC 5424, 6.2.1 */
#define PRIORITY "<30>"
/* rsyslog's default for a whole message; syslog-ng's is larger */
#define SYSLOG_MAX 8192
/* journald asks for files beyond what a datagram holds; no line of an access log comes near it */
#define JOURNALD_MAX (64u << 10)
#define HEAD_MAX 160

struct log_daemon {
    struct sockaddr_un address;
    enum log_dest_kind kind;
    int fd; /* connected, or -1 */
    time_t tried; /* the last attempt to connect */
    time_t second; /* of `head` */
    char name[64];
    char head[HEAD_MAX]; /* what stands before the line */
    size_t head_n;
};

/* A name that ends neither the tag of syslog nor the field of journald. */
static void copy_name(char *to, size_t size, const char *name)
{
    size_t n = 0;
    for (; name[n] && n + 1 < size; n++)
        to[n] = isgraph((unsigned char)name[n]) && !strchr("[]:", name[n]) ? name[n] : '_';
    to[n] = '\0';
}

struct log_daemon *log_daemon_new(const struct log_dest *dest, const char *name)
{
    struct log_daemon *d;
    if (strlen(dest->path) >= sizeof(d->address.sun_path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    if (!(d = calloc(1, sizeof(*d))))
        return NULL;
    d->kind = dest->kind;
    d->fd = -1;
    d->address.sun_family = AF_UNIX;
    snprintf(d->address.sun_path, sizeof(d->address.sun_path), "%s", dest->path);
    copy_name(d->name, sizeof(d->name), name);
    if (d->kind == LOG_DEST_JOURNALD)
        d->head_n = (size_t)snprintf(d->head, sizeof(d->head),
                                     "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=%s\nMESSAGE=", d->name);
    return d;
}

void log_daemon_free(struct log_daemon *d)
{
    if (!d)
        return;
    fd_close(&d->fd);
    free(d);
}

int log_daemon_connect(struct log_daemon *d)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&d->address, sizeof(d->address)) < 0) {
        int saved = errno;
        fd_close(&fd);
        errno = saved;
        return -1;
    }
    fd_close(&d->fd);
    forked_own(fd);
    d->fd = fd;
    return 0;
}

size_t log_daemon_max_line(const struct log_daemon *d)
{
    return d->kind == LOG_DEST_SYSLOG ? SYSLOG_MAX - HEAD_MAX : JOURNALD_MAX;
}

/* Local time, as syslog(3) has it; the application's locale must not translate the months. */
static void date_head(struct log_daemon *d, time_t now)
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct tm tm;
    log_local_time(now, &tm);
    d->second = now;
    d->head_n = (size_t)snprintf(d->head, sizeof(d->head), PRIORITY "%s %2d %02d:%02d:%02d %s[%d]: ", months[tm.tm_mon],
                                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, d->name, getpid());
}

/* A daemon that was started again has a new socket at the old path; one that is gone is looked for once a second. */
static bool is_connected(struct log_daemon *d, time_t now)
{
    if (d->fd >= 0)
        return true;
    if (now == d->tried) {
        errno = EAGAIN;
        return false;
    }
    d->tried = now;
    return log_daemon_connect(d) == 0;
}

enum log_sent log_daemon_send(struct log_daemon *d, struct span line)
{
    time_t now = time(NULL);
    if (!is_connected(d, now))
        return LOG_LATER;
    if (d->kind == LOG_DEST_SYSLOG && (now != d->second || !d->head_n))
        date_head(d, now);
    bool ends = d->kind == LOG_DEST_JOURNALD; /* each of its fields ends in "\n" */
    struct iovec parts[] = { { d->head, d->head_n }, { (char *)line.p, line.n }, { "\n", ends } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
    ssize_t n;
    do
        n = sendmsg(d->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return LOG_SENT;
    if (errno == EMSGSIZE)
        return LOG_REFUSED;
    int why = errno;
    if (why == ECONNREFUSED || why == ECONNRESET || why == ENOTCONN || why == EPIPE)
        fd_close(&d->fd);
    errno = why;
    return LOG_LATER;
}
