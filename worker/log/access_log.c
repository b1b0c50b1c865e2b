/* SPDX-License-Identifier: BSD-3-Clause */
/* access_log.c: collects the lines of a loop turn and writes them out without ever waiting.
 *
 * A file gets one write(2) for all of them, at its end (O_APPEND), so lines of several workers do not mix. A pipe or a
 * terminal gets pieces of whole lines of at most PIPE_BUF bytes, which the kernel keeps together, through a
 * separate non-blocking open file: O_NONBLOCK on an inherited one would change it for every process that shares it.
 * A log daemon gets each line as a datagram (log_daemon.h). What cannot be written is kept up to 1 MB;
 * after that new lines are dropped whole and counted.
 */
#include "worker/log/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/descriptors.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "common/log.h"
#include "common/plural.h"
#include "conf/conf.h"
#include "conf/log_dest.h"
#include "conf/log_format.h"
#include "worker/log/access_line.h"
#include "worker/http/req.h"
#include "worker/log/log_daemon.h"

#define MAX_KEPT (1u << 20)
#define FLUSH_AT (64u << 10)
/* When a line would not fit into a pipe's atomic write or a daemon's datagram, its values are cut to this; what is still
 * too long then is dropped rather than torn. */
#define SHORT_VALUE 256

enum sink { SINK_FILE, SINK_STREAM, SINK_SOCKET, SINK_DAEMON };

struct access_log {
    struct log_format format;
    char *path; /* NULL: standard output, or the daemon */
    struct log_daemon *daemon;
    int fd;
    bool owned; /* fd is ours to close */
    struct descriptor noted; /* what fd was when it was opened, if it is ours */
    enum sink sink;
    struct buf out; /* lines; after a short write the first may have lost its beginning */
    uint64_t dropped, reported; /* lines lost: all, and those reported in the error log */
    const struct conf_list *excluded; /* NULL: nothing */
    bool broken; /* the failure to write was reported */
    struct access_time time;
};

static __attribute__((cold, noinline)) void report_broken(struct access_log *log, const char *why)
{
    if (log->broken)
        return;
    log->broken = true;
    log_error("access log: %s: keeping up to 1 MB of lines, dropping the rest", why);
}

static enum sink sink_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
        return SINK_FILE;
    return S_ISSOCK(st.st_mode) ? SINK_SOCKET : SINK_STREAM;
}

static void own(struct access_log *log, int fd)
{
    log->fd = log->noted.fd = fd;
    log->owned = true;
    (void)descriptor_note(&log->noted);
}

bool access_log_is_whole(const struct access_log *log)
{
    return !log->owned || descriptor_is_same(&log->noted);
}

/* Standard output, by a non-blocking twin if it is a stream and /proc lets us. */
static void attach_stdout(struct access_log *log)
{
    log->fd = STDOUT_FILENO;
    log->owned = false;
    log->sink = sink_of(STDOUT_FILENO);
    if (log->sink != SINK_STREAM)
        return;
    int twin = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    forked_own(twin);
    if (twin >= 0) {
        own(log, twin);
    }
}

/* 0, or -1 with errno and everything as it was. */
static int attach_file(struct access_log *log)
{
    int fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, LOG_FILE_MODE);
    if (fd < 0)
        return -1;
    if (log->owned)
        fd_close(&log->fd);
    forked_own(fd);
    own(log, fd);
    log->sink = sink_of(fd);
    return 0;
}

/* The working folder may change before the log is opened anew, and may have changed already. */
static char *absolute(const char *path, int folder)
{
    char name[40], where[PATH_MAX], *whole = NULL;
    if (path[0] == '/')
        return strdup(path);
    snprintf(name, sizeof(name), folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t n = readlink(name, where, sizeof(where));
    if (n < 0 || asprintf(&whole, "%.*s/%s", (int)n, where, path) < 0)
        return NULL;
    return whole;
}

/* 0, or -1 with errno. */
static int attach(struct access_log *log, const struct log_dest *dest, int folder, const char *name)
{
    switch (dest->kind) {
    case LOG_DEST_STDOUT:
        attach_stdout(log);
        return 0;
    case LOG_DEST_FILE:
        return (log->path = absolute(dest->path, folder)) ? attach_file(log) : -1;
    case LOG_DEST_SYSLOG:
    case LOG_DEST_JOURNALD:
        break;
    }
    log->sink = SINK_DAEMON;
    if (!(log->daemon = log_daemon_new(dest, name)))
        return -1;
    if (log_daemon_connect(log->daemon) < 0) /* no reason not to serve */
        report_broken(log, strerror(errno));
    return 0;
}

struct access_log *access_log_open(const char *where, int folder, const char *format, const char *name)
{
    const char *why;
    size_t at;
    struct access_log *log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    if (log_format_parse(format, &log->format, &why, &at) < 0) {
        free(log);
        errno = EINVAL;
        return NULL;
    }
    log->fd = -1;
    struct log_dest dest = log_dest_parse(where);
    if (attach(log, &dest, folder, name) < 0) {
        int saved = errno;
        access_log_free(log);
        errno = saved;
        return NULL;
    }
    return log;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    access_log_flush(log);
    if (log->broken || buf_len(&log->out))
        log_error("access log: still cannot be written: %llu line%s and %zu buffered bytes lost",
                  (unsigned long long)(log->dropped - log->reported), plural(log->dropped - log->reported),
                  buf_len(&log->out));
    if (log->owned)
        fd_close(&log->fd);
    log_daemon_free(log->daemon);
    log_format_done(&log->format);
    buf_release(&log->out);
    free(log->path);
    free(log);
}

int access_log_reopen(struct access_log *log)
{
    access_log_flush(log); /* to the old file: its lines belong there */
    return log->path ? attach_file(log) : log->daemon ? log_daemon_connect(log->daemon) : 0;
}

bool access_log_wants_fields(const struct access_log *log)
{
    return log->format.wants_out_fields;
}

uint64_t access_log_dropped(const struct access_log *log)
{
    return log->dropped;
}

/* --- writing --- */

/* Bytes of whole lines at the front, at most `max`; a first line that is longer counts as a whole. */
static size_t whole_lines(struct span s, size_t max)
{
    if (s.n <= max)
        return s.n;
    const char *last = memrchr(s.p, '\n', max);
    if (!last)
        last = memchr(s.p, '\n', s.n);
    return last ? (size_t)(last - s.p) + 1 : s.n;
}

static __attribute__((cold, noinline)) void report_mended(struct access_log *log)
{
    log_warning("access log: can be written again; %llu line%s lost",
                (unsigned long long)(log->dropped - log->reported),
                log->dropped - log->reported == 1 ? " was" : "s were");
    log->broken = false;
    log->reported = log->dropped;
}

/* One attempt; bytes taken, 0 = not now. */
static size_t write_some(struct access_log *log, struct span s)
{
    ssize_t n;
    if (log->sink != SINK_FILE) {
        struct pollfd p = { .fd = log->fd, .events = POLLOUT };
        if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT) /* full, or without a reader: no SIGPIPE for a log */
            return 0;
        s.n = whole_lines(s, PIPE_BUF);
    }
    do
        n = log->sink == SINK_SOCKET ? send(log->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(log->fd, s.p, s.n);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN)
        report_broken(log, strerror(errno));
    return n > 0 ? (size_t)n : 0;
}

static bool flush_to_daemon(struct access_log *log)
{
    while (buf_len(&log->out)) {
        struct span all = buf_span(&log->out);
        const char *end = memchr(all.p, '\n', all.n);
        size_t n = end ? (size_t)(end - all.p) : all.n;
        enum log_sent sent = log_daemon_send(log->daemon, (struct span){ all.p, n });
        if (sent == LOG_LATER) {
            if (errno != EAGAIN)
                report_broken(log, strerror(errno));
            return false;
        }
        log->dropped += sent == LOG_REFUSED;
        buf_take(&log->out, end ? n + 1 : n);
    }
    return true;
}

static bool flush_to_fd(struct access_log *log)
{
    while (buf_len(&log->out)) {
        size_t n = write_some(log, buf_span(&log->out));
        if (n == 0)
            return false;
        buf_take(&log->out, n);
    }
    return true;
}

bool access_log_flush(struct access_log *log)
{
    bool done = log->daemon ? flush_to_daemon(log) : flush_to_fd(log);
    if (done && log->broken)
        report_mended(log);
    return done;
}

void access_log_finish(struct access_log *log)
{
    for (int i = 0; i < 50 && !access_log_flush(log); i++)
        poll(NULL, 0, 10);
}

/* --- adding --- */

/* Drops what was added after the first `n` bytes. */
static void cut_back(struct access_log *log, size_t n)
{
    log->out.end = log->out.start + n;
}

static int add_line(struct access_log *log, const struct req *r, uint64_t duration_ns, const struct timespec *now,
                    size_t limit)
{
    size_t before = buf_len(&log->out);
    int result = access_line_add(&log->out, &log->format, r, duration_ns, now, &log->time, limit);
    if (result < 0)
        cut_back(log, before);
    return result;
}

/* Of a line with its "\n", bytes. */
static size_t max_line(const struct access_log *log)
{
    return log->sink == SINK_STREAM ? PIPE_BUF : log->sink == SINK_DAEMON ? log_daemon_max_line(log->daemon) : SIZE_MAX;
}

void access_log_exclude(struct access_log *log, const struct conf_list *paths)
{
    log->excluded = paths->n ? paths : NULL;
}

static bool fits(struct span path, const char *pattern)
{
    size_t n = strlen(pattern);
    if (n && pattern[n - 1] == '*')
        return path.n >= n - 1 && memcmp(path.p, pattern, n - 1) == 0;
    return path.n == n && memcmp(path.p, pattern, n) == 0;
}

static __attribute__((noinline)) bool is_excluded(const struct access_log *log, const struct req *r)
{
    struct span path = req_span(r, r->path);
    if (!r->status || r->status >= 400)
        return false;
    for (size_t i = 0; i < log->excluded->n; i++)
        if (fits(path, log->excluded->v[i]))
            return true;
    return false;
}

bool access_log_add(struct access_log *log, const struct req *r, uint64_t duration_ns)
{
    if (log->excluded && is_excluded(log, r))
        return true;
    struct timespec now;
    size_t before = buf_len(&log->out);
    clock_gettime(CLOCK_REALTIME, &now);
    int result = add_line(log, r, duration_ns, &now, SIZE_MAX);
    if (result == 0 && buf_len(&log->out) - before > max_line(log)) {
        cut_back(log, before);
        result = add_line(log, r, duration_ns, &now, SHORT_VALUE);
        if (result == 0 && buf_len(&log->out) - before > max_line(log))
            result = -1;
    }
    if (result < 0 || buf_len(&log->out) > MAX_KEPT) {
        cut_back(log, before);
        log->dropped++;
        if (buf_len(&log->out) > MAX_KEPT / 2) /* else it was this line alone */
            report_broken(log, "the reader is too slow");
        return false;
    }
    /* Only when the mark is passed: a full pipe is not asked again for every line. */
    if (before < FLUSH_AT && buf_len(&log->out) >= FLUSH_AT)
        access_log_flush(log);
    return true;
}
