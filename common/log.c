/* SPDX-License-Identifier: BSD-3-Clause */
/* log.c: writes the error log. Holds the one mutable global of the program: where the log goes and what was
 * dropped.
 *
 * A pipe or terminal is opened anew by way of /proc to get a non-blocking open file of our own:
 * O_NONBLOCK on the inherited one would change it for everybody who shares it. Where that is
 * refused, poll(2) asks first. What comes from outside cannot forge a line: control characters are
 * escaped.
 */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fdutil.h"
#include "common/log_journal.h"
#include "common/log_line.h"
#include "common/log_syslog.h"
#include "common/plural.h"
#include "common/span.h"
#include "common/trusted.h"

#define IDENTIFIER "tine"
/* Room for records that stays, so that what is usual can be written where there is no memory. */
#define KEPT_ROOM 4096u

/* JOURNAL and SYSLOG: datagrams to a daemon, one for each record. */
enum sink { SINK_UNKNOWN, SINK_FILE, SINK_STREAM, SINK_SOCKET, SINK_JOURNAL, SINK_SYSLOG };

static struct {
    enum log_level level;
    enum sink sink;
    bool colours;         /* it is a terminal that wants them */
    bool json;            /* records are objects of JSON; never for journald */
    int file_fd;          /* of `path`, or a socket of a daemon; -1: standard error */
    int write_fd;         /* non-blocking twin of standard error; -1: none */
    char *path; /* absolute, or "journald", "syslog" and their kind; NULL: standard error, perhaps by way of journald */
    bool wary; /* root's way to `path` must be root's */
    uint64_t dropped; /* since the last report */
    uint64_t dropped_all; /* since the start */
    bool survives_forks;
    struct buf *noted; /* log_note_errors() */
    struct buf record; /* empty but for its room, unless the lock is held */
    struct buf report; /* the same, of what was lost */
    dev_t dev; /* of what is written to, when it was opened */
    ino_t ino;
    pthread_mutex_t lock; /* threads of an application write too */
} state = { .level = LOG_LEVEL_INFO, .file_fd = -1, .write_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

enum log_level log_level(void)
{
    return state.level;
}

void log_set_level(enum log_level level)
{
    state.level = level;
}

static int sink_fd(void)
{
    return state.file_fd >= 0 ? state.file_fd : STDERR_FILENO;
}

static bool is_daemon(void)
{
    return state.sink >= SINK_JOURNAL;
}

int log_fd(void)
{
    return is_daemon() ? STDERR_FILENO : sink_fd();
}

size_t log_own_fds(int fds[LOG_MAX_FDS])
{
    size_t n = 0;
    if (state.file_fd >= 0)
        fds[n++] = state.file_fd;
    if (state.write_fd >= 0)
        fds[n++] = state.write_fd;
    return n;
}

struct log_fds log_fds(void)
{
    return (struct log_fds){ state.file_fd, state.write_fd, is_daemon() };
}

const char *log_path(void)
{
    return state.path;
}

uint64_t log_dropped(void)
{
    return state.dropped_all;
}

static int out_fd(void)
{
    return state.write_fd >= 0 ? state.write_fd : sink_fd();
}

static void sink_look(int fd)
{
    struct stat st;
    bool known = fstat(fd, &st) == 0;
    state.dev = known ? st.st_dev : 0;
    state.ino = known ? st.st_ino : 0;
    state.colours = known && S_ISCHR(st.st_mode) && log_line_wants_colours(fd);
    if (!known || S_ISREG(st.st_mode))
        state.sink = SINK_FILE;
    else
        state.sink = S_ISSOCK(st.st_mode) ? SINK_SOCKET : SINK_STREAM;
}

/* Finds out what the descriptor is, and gets a non-blocking twin for a stream. */
static void sink_attach(void)
{
    fd_close(&state.write_fd);
    int fd = sink_fd();
    enum sink daemon = is_daemon() && state.file_fd >= 0 ? state.sink : SINK_UNKNOWN;
    sink_look(fd);
    if (daemon != SINK_UNKNOWN)
        state.sink = daemon;
    if (state.sink != SINK_STREAM)
        return;
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    state.write_fd = open(link, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

bool log_is_whole(void)
{
    struct stat st;
    pthread_mutex_lock(&state.lock);
    bool whole = state.sink == SINK_UNKNOWN || out_fd() == STDERR_FILENO ||
                 (fstat(out_fd(), &st) == 0 && st.st_dev == state.dev && st.st_ino == state.ino);
    pthread_mutex_unlock(&state.lock);
    return whole;
}

static int open_file(const char *path)
{
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    return state.wary && geteuid() == 0 ? trusted_open(path, flags, LOG_FILE_MODE) : open(path, flags, LOG_FILE_MODE);
}

void log_require_trusted_path(void)
{
    state.wary = true;
}

bool log_requires_trusted_path(void)
{
    return state.wary;
}

static void hold(void)
{
    pthread_mutex_lock(&state.lock);
}

static void release(void)
{
    pthread_mutex_unlock(&state.lock);
}

int log_survive_forks(void)
{
    if (state.survives_forks)
        return 0;
    errno = pthread_atfork(hold, release, release);
    state.survives_forks = !errno;
    return errno ? -1 : 0;
}

/* --- daemons --- */

/* Which sink a path names, and its socket. SINK_UNKNOWN: it is a file. */
static enum sink daemon_of(const char *path, const char **ret_socket)
{
    if ((*ret_socket = log_syslog_socket(path)))
        return SINK_SYSLOG;
    return (*ret_socket = log_journal_socket(path)) ? SINK_JOURNAL : SINK_UNKNOWN;
}

/* It was started again, and has a new socket at the old path. The number stays. */
static bool daemon_reconnect(void)
{
    const char *path = LOG_JOURNAL_SOCKET;
    if (state.path)
        daemon_of(state.path, &path);
    int fd = log_journal_connect(path);
    if (fd < 0)
        return false;
    bool done = dup3(fd, state.file_fd, O_CLOEXEC) >= 0;
    fd_close(&fd);
    if (done)
        sink_attach();
    return done;
}

static bool put_datagram(const char *p, size_t n)
{
    bool (*give)(int fd, const char *p, size_t n) = state.sink == SINK_SYSLOG ? log_syslog_send : log_journal_send;
    for (int tries = 0; !give(state.file_fd, p, n);)
        if (errno == EAGAIN || tries++ || !daemon_reconnect())
            return false;
    return true;
}

/* --- opening --- */

/* Where the log is to go: *ret_path as state.path has it, and the kind. A descriptor, -1: standard error; -2: errno. */
static int open_sink(const char *path, char **ret_path, enum sink *ret_sink)
{
    const char *socket_path;
    enum sink daemon = daemon_of(path, &socket_path);
    *ret_path = NULL;
    *ret_sink = SINK_UNKNOWN;
    int fd = -1;
    if (strcmp(path, "-") == 0) {
        if (log_journal_is_stderr() && (fd = log_journal_connect(LOG_JOURNAL_SOCKET)) >= 0)
            *ret_sink = SINK_JOURNAL;
        return fd;
    }
    *ret_sink = daemon;
    if (!(*ret_path = socket_path ? strdup(path) : path_absolute(path)))
        return -2;
    fd = socket_path ? log_journal_connect(socket_path) : open_file(*ret_path);
    if (fd >= 0)
        return fd;
    int saved = errno;
    free(*ret_path);
    errno = saved;
    return -2;
}

/* Without it records need memory, each its own. */
static void reserve(void)
{
    (void)buf_room(&state.record, KEPT_ROOM);
    (void)buf_room(&state.report, KEPT_ROOM / 4);
}

int log_open(const char *path, enum log_level level, bool json)
{
    char *whole;
    enum sink sink;
    int fd = open_sink(path, &whole, &sink);
    if (fd == -2)
        return -1;
    fd_close(&state.file_fd);
    free(state.path);
    state.path = whole;
    state.file_fd = fd;
    state.level = level;
    state.json = json;
    state.sink = sink;
    sink_attach();
    reserve();
    return 0;
}

int log_take(const char *path, enum log_level level, bool json, struct log_fds fds)
{
    char *copy = path ? strdup(path) : NULL;
    if (path && !copy)
        return -1;
    free(state.path);
    state.path = copy;
    state.level = level;
    state.json = json;
    state.file_fd = fds.file;
    state.write_fd = fds.stream;
    reserve();
    sink_look(sink_fd());
    const char *socket_path;
    if (fds.daemon)
        state.sink = path ? daemon_of(path, &socket_path) : SINK_JOURNAL;
    if (fds.file >= 0 && fd_set_cloexec(fds.file) < 0)
        return -1;
    return fds.stream >= 0 ? fd_set_cloexec(fds.stream) : 0;
}

static int reopen(void)
{
    if (is_daemon())
        return daemon_reconnect() ? 0 : -1;
    if (state.path) {
        int fd = open_file(state.path);
        if (fd < 0)
            return -1;
        /* The number stays: other processes know it. */
        if (dup3(fd, state.file_fd, O_CLOEXEC) < 0) {
            fd_close(&fd);
            return -1;
        }
        fd_close(&fd);
    }
    sink_attach();
    return 0;
}

int log_reopen(void)
{
    hold();
    int result = reopen();
    release();
    return result;
}

bool log_is_json(void)
{
    return state.json;
}

static bool put(const char *p, size_t n)
{
    int fd = out_fd();
    while (n) {
        if (state.sink == SINK_STREAM) {
            struct pollfd ready = { .fd = fd, .events = POLLOUT };
            if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
                return false;
        }
        ssize_t done = state.sink == SINK_SOCKET ? send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* How much of the text to write at once, at most PIPE_BUF to a stream and then whole lines where
 * that is possible. */
static size_t next_piece(const char *p, size_t n)
{
    if (state.sink == SINK_FILE || n <= PIPE_BUF)
        return n;
    const char *end = memrchr(p, '\n', PIPE_BUF);
    return end ? (size_t)(end + 1 - p) : PIPE_BUF;
}

static void count_lost(const char *p, size_t n)
{
    uint64_t lines = 0;
    if (is_daemon())
        n = 0; /* bytes that are no lines */
    for (const char *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        lines++;
    state.dropped += lines ? lines : 1;
    state.dropped_all += lines ? lines : 1;
}

/* A record of now as bytes, added to `to`. 0, or -1: out of memory. Lock held. */
static int make_record(enum log_level level, struct span first, struct span text, struct buf *to)
{
    struct log_record r = { .level = level, .pid = getpid(), .colours = state.colours, .first = first, .text = text };
    clock_gettime(CLOCK_REALTIME, &r.when);
    log_local_time(r.when.tv_sec, &r.tm);
    if (state.sink == SINK_JOURNAL)
        return log_line_journal(&r, IDENTIFIER, to);
    if (state.sink == SINK_SYSLOG)
        return log_line_syslog(&r, IDENTIFIER, state.json, to);
    return state.json ? log_line_json(&r, to) : log_line_text(&r, to);
}

static void empty(struct buf *bytes)
{
    buf_take(bytes, buf_len(bytes));
    if (bytes->cap > KEPT_ROOM)
        buf_release(bytes);
}

static bool report_dropped(void)
{
    char line[100];
    if (!state.dropped)
        return true;
    int n = snprintf(line, sizeof(line), "%llu log line%s could not be written and %s lost",
                     (unsigned long long)state.dropped, plural(state.dropped), state.dropped == 1 ? "is" : "are");
    bool made =
        make_record(LOG_LEVEL_WARNING, (struct span){ line, (size_t)n }, (struct span){ 0 }, &state.report) == 0;
    struct span all = buf_span(&state.report);
    bool done = made && (is_daemon() ? put_datagram(all.p, all.n) : put(all.p, all.n));
    empty(&state.report);
    if (done)
        state.dropped = 0;
    return done;
}

/* Lock held. */
static void emit(const char *p, size_t n)
{
    bool works = report_dropped();
    if (works && is_daemon()) {
        works = put_datagram(p, n);
        n = works ? 0 : n;
    }
    while (works && n) {
        size_t piece = next_piece(p, n);
        works = put(p, piece);
        if (works) {
            p += piece;
            n -= piece;
        }
    }
    if (n)
        count_lost(p, n);
}

/* One record, written at once. */
static void compose(enum log_level level, struct span first, struct span text)
{
    int saved = errno;
    hold();
    if (state.sink == SINK_UNKNOWN)
        sink_attach();
    bool made = make_record(level, first, text, &state.record) == 0;
    struct span all = buf_span(&state.record);
    if (made)
        emit(all.p, all.n);
    else
        count_lost(NULL, 0);
    empty(&state.record);
    release();
    errno = saved;
}

void log_note_errors(struct buf *to)
{
    state.noted = to;
}

static void note_error(const char *text, size_t n)
{
    if ((buf_len(state.noted) && buf_add(state.noted, "\n", 1) < 0) || buf_add(state.noted, text, n) < 0)
        state.noted = NULL; /* what has been noted is of use */
}

void log_at(enum log_level level, const char *format, ...)
{
    if (level < state.level)
        return;
    int saved = errno; /* %m */
    char small[1024];
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), format, ap);
    va_end(ap);
    char *large = NULL;
    if (n >= (int)sizeof(small) && (large = malloc((size_t)n + 1))) {
        errno = saved;
        vsnprintf(large, (size_t)n + 1, format, again);
    }
    va_end(again);
    if (n > 0) {
        size_t have = large ? (size_t)n : n < (int)sizeof(small) ? (size_t)n : sizeof(small) - 1;
        compose(level, (struct span){ large ? large : small, have }, (struct span){ 0 });
        if (level >= LOG_LEVEL_ERROR && state.noted)
            note_error(large ? large : small, have);
    }
    free(large);
    errno = saved;
}

void log_block(enum log_level level, const char *first, const char *text, size_t n)
{
    if (level < state.level)
        return;
    compose(level, span_of(first), (struct span){ text, n });
}
