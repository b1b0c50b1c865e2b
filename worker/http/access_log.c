/* access_log.c: collects the lines of a loop turn and writes them out without ever waiting.
 *
 * A file gets one write(2) for all of them, at its end (O_APPEND), so lines of several workers do not mix. A pipe or a
 * terminal gets pieces of whole lines of at most PIPE_BUF bytes, which the kernel keeps together, through a
 * non-blocking open file of its own: O_NONBLOCK on an inherited one would change it for everybody who shares it.
 * What cannot be written is kept up to 1 MB; after that new lines are dropped whole and counted.
 */
#include "worker/http/access_log.h"

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
#include "common/fdutil.h"
#include "common/log.h"
#include "conf/log_format.h"
#include "worker/http/access_line.h"

#define MAX_KEPT (1u << 20)
#define FLUSH_AT (64u << 10)
/* When a line would not fit into a pipe's atomic write, its values are cut to this; what is still too long then is
 * dropped rather than torn. */
#define SHORT_VALUE 256

enum sink { SINK_FILE, SINK_STREAM, SINK_SOCKET };

struct access_log {
    struct log_format format;
    char *path;        /* NULL: standard output */
    int fd;
    bool owned;        /* fd is ours to close */
    enum sink sink;
    struct buf out;    /* lines; after a short write the first may have lost its beginning */
    uint64_t dropped, told; /* lines lost: all, and those that the error log has */
    bool broken;       /* that it cannot be written to was told */
    struct access_time time;
};

static enum sink sink_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
        return SINK_FILE;
    return S_ISSOCK(st.st_mode) ? SINK_SOCKET : SINK_STREAM;
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
    if (twin >= 0) {
        log->fd = twin;
        log->owned = true;
    }
}

/* 0, or -1 with errno and everything as it was. */
static int attach_file(struct access_log *log)
{
    int fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    if (fd < 0)
        return -1;
    if (log->owned)
        fd_close(&log->fd);
    log->fd = fd;
    log->owned = true;
    log->sink = sink_of(fd);
    return 0;
}

/* The working directory may change before the log is opened anew. */
static char *absolute(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    char *cwd = getcwd(NULL, 0), *whole = NULL;
    if (cwd && asprintf(&whole, "%s/%s", cwd, path) < 0)
        whole = NULL;
    free(cwd);
    return whole;
}

struct access_log *access_log_open(const char *path, const char *format)
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
    if (strcmp(path, "-") == 0) {
        attach_stdout(log);
        return log;
    }
    log->path = absolute(path);
    if (!log->path || attach_file(log) < 0) {
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
    if (log->broken)
        log_error("access log: still not written: %llu lines are lost, and %zu bytes that waited",
                  (unsigned long long)(log->dropped - log->told), buf_len(&log->out));
    if (log->owned)
        fd_close(&log->fd);
    log_format_done(&log->format);
    buf_release(&log->out);
    free(log->path);
    free(log);
}

int access_log_reopen(struct access_log *log)
{
    access_log_flush(log); /* to the old file: its lines belong there */
    return log->path ? attach_file(log) : 0;
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

static __attribute__((cold, noinline)) void tell_broken(struct access_log *log, const char *why)
{
    if (log->broken)
        return;
    log->broken = true;
    log_error("access log: %s: lines wait, and beyond 1 MB they are lost", why);
}

static __attribute__((cold, noinline)) void tell_mended(struct access_log *log)
{
    log_warning("access log: it is written again; %llu lines are lost", (unsigned long long)(log->dropped - log->told));
    log->broken = false;
    log->told = log->dropped;
}

/* One attempt; bytes taken, 0 = not now. */
static size_t write_some(struct access_log *log, struct span s)
{
    ssize_t n;
    if (log->sink != SINK_FILE) {
        struct pollfd p = { .fd = log->fd, .events = POLLOUT };
        if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT) /* full, or nobody reads: no SIGPIPE for a log */
            return 0;
        s.n = whole_lines(s, PIPE_BUF);
    }
    do
        n = log->sink == SINK_SOCKET ? send(log->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL)
                                     : write(log->fd, s.p, s.n);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN)
        tell_broken(log, strerror(errno));
    return n > 0 ? (size_t)n : 0;
}

void access_log_flush(struct access_log *log)
{
    while (buf_len(&log->out)) {
        size_t n = write_some(log, buf_span(&log->out));
        if (n == 0)
            return;
        buf_take(&log->out, n);
    }
    if (log->broken)
        tell_mended(log);
}

/* --- adding --- */

/* Drops what was added behind `n` bytes. */
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

bool access_log_add(struct access_log *log, const struct req *r, uint64_t duration_ns)
{
    struct timespec now;
    size_t before = buf_len(&log->out);
    clock_gettime(CLOCK_REALTIME, &now);
    int result = add_line(log, r, duration_ns, &now, SIZE_MAX);
    if (result == 0 && log->sink == SINK_STREAM && buf_len(&log->out) - before > PIPE_BUF) {
        cut_back(log, before);
        result = add_line(log, r, duration_ns, &now, SHORT_VALUE);
        if (result == 0 && buf_len(&log->out) - before > PIPE_BUF)
            result = -1;
    }
    if (result < 0 || buf_len(&log->out) > MAX_KEPT) {
        cut_back(log, before);
        log->dropped++;
        if (buf_len(&log->out) > MAX_KEPT / 2) /* else it was this line alone */
            tell_broken(log, "it takes no more");
        return false;
    }
    /* Only when the mark is passed: a full pipe is not asked again for every line. */
    if (before < FLUSH_AT && buf_len(&log->out) >= FLUSH_AT)
        access_log_flush(log);
    return true;
}
