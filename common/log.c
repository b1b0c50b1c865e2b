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
#include "common/plural.h"
#include "common/trusted.h"
#include "common/utf8.h"

enum sink { SINK_UNKNOWN, SINK_FILE, SINK_STREAM, SINK_SOCKET };

static struct {
    enum log_level level;
    enum sink sink;
    int file_fd;          /* of `path`; -1: standard error */
    int write_fd;         /* non-blocking twin of standard error; -1: none */
    char *path;           /* absolute; NULL: standard error */
    bool wary;            /* root's way to `path` must be root's */
    uint64_t dropped;     /* since the last report */
    uint64_t dropped_all; /* since the start */
    bool survives_forks;
    struct buf *noted;    /* log_note_errors() */
    dev_t dev;            /* of what is written to, when it was opened */
    ino_t ino;
    pthread_mutex_t lock; /* threads of an application write too */
} state = { .level = LOG_LEVEL_INFO, .file_fd = -1, .write_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

enum log_level log_level(void)
{
    return state.level;
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

int log_fd(void)
{
    return state.file_fd >= 0 ? state.file_fd : STDERR_FILENO;
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
    return (struct log_fds){ state.file_fd, state.write_fd };
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
    return state.write_fd >= 0 ? state.write_fd : log_fd();
}

static void sink_look(int fd)
{
    struct stat st;
    bool known = fstat(fd, &st) == 0;
    state.dev = known ? st.st_dev : 0;
    state.ino = known ? st.st_ino : 0;
    if (!known || S_ISREG(st.st_mode))
        state.sink = SINK_FILE;
    else
        state.sink = S_ISSOCK(st.st_mode) ? SINK_SOCKET : SINK_STREAM;
}

/* Finds out what the descriptor is, and gets a non-blocking twin for a stream. */
static void sink_attach(void)
{
    fd_close(&state.write_fd);
    int fd = log_fd();
    sink_look(fd);
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

/* The working directory changes in a daemon: reopening needs the whole path. NULL with errno. */
static char *absolute(const char *path)
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

int log_open(const char *path, enum log_level level)
{
    char *whole = NULL;
    int fd = -1;
    if (strcmp(path, "-") != 0) {
        whole = absolute(path);
        if (!whole)
            return -1;
        fd = open_file(whole);
        if (fd < 0) {
            int saved = errno;
            free(whole);
            errno = saved;
            return -1;
        }
    }
    fd_close(&state.file_fd);
    free(state.path);
    state.path = whole;
    state.file_fd = fd;
    state.level = level;
    sink_attach();
    return 0;
}

int log_take(const char *path, enum log_level level, struct log_fds fds)
{
    char *copy = path ? strdup(path) : NULL;
    if (path && !copy)
        return -1;
    free(state.path);
    state.path = copy;
    state.level = level;
    state.file_fd = fds.file;
    state.write_fd = fds.stream;
    sink_look(log_fd());
    if (fds.file >= 0 && fd_set_cloexec(fds.file) < 0)
        return -1;
    return fds.stream >= 0 ? fd_set_cloexec(fds.stream) : 0;
}

static int reopen(void)
{
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

static size_t prefix(char *to, size_t size, enum log_level level)
{
    time_t now = time(NULL);
    struct tm tm;
    char when[40];
    localtime_r(&now, &tm);
    if (!strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", &tm))
        when[0] = '\0';
    int n = snprintf(to, size, "[%s] [%d] [%s] ", when, (int)getpid(), log_level_name(level));
    return n < 0 ? 0 : (size_t)n;
}

static void count_lost(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (const char *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        lines++;
    state.dropped += lines ? lines : 1;
    state.dropped_all += lines ? lines : 1;
}

static bool report_dropped(void)
{
    if (!state.dropped)
        return true;
    char line[160];
    size_t n = prefix(line, sizeof(line), LOG_LEVEL_WARNING);
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%llu log line%s could not be written and %s lost\n",
                          (unsigned long long)state.dropped, plural(state.dropped), state.dropped == 1 ? "is" : "are");
    if (!put(line, n))
        return false;
    state.dropped = 0;
    return true;
}

static void emit(const char *p, size_t n)
{
    int saved = errno;
    hold();
    if (state.sink == SINK_UNKNOWN)
        sink_attach();
    bool works = report_dropped();
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
    release();
    errno = saved;
}

/* How many bytes at p can be shown as they are; 0: none. */
static size_t shown(const char *p, size_t n, const char *keep)
{
    unsigned char c = (unsigned char)*p;
    if (c < 0x80)
        return (c >= 0x20 && c != 0x7f) || (c && strchr(keep, c));
    size_t length = utf8_length(p, n);
    return utf8_is_control(p, length) ? 0 : length;
}

size_t log_escape(char *to, size_t size, const char *text, size_t n, const char *keep)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0, k; i < n; i += k) {
        unsigned char c = (unsigned char)text[i];
        if ((k = shown(text + i, n - i, keep))) {
            if (at + k > size)
                break;
            memcpy(to + at, text + i, k);
            at += k;
        } else {
            k = 1;
            if (at + 4 > size)
                break;
            memcpy(to + at, (char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
            at += 4;
        }
    }
    return at;
}

/* Only a record begins with "[": the lines of a block that do are moved by a blank. An exception's
 * text may be a client's. */
static size_t put_lines(char *to, size_t size, const char *text, size_t n)
{
    size_t at = 0;
    while (n && at < size) {
        const char *newline = memchr(text, '\n', n);
        size_t line = newline ? (size_t)(newline + 1 - text) : n;
        if (*text == '[')
            to[at++] = ' ';
        at += log_escape(to + at, size - at, text, line, "\t\n");
        text += line;
        n -= line;
    }
    return at;
}

/* One write of prefix, escaped first line, end of line, and the block as it is but for control
 * characters. */
static void compose(enum log_level level, const char *first, size_t n_first, const char *text, size_t n)
{
    char small[2048];
    char *line = small;
    size_t size = sizeof(small);
    size_t need = 80 + 4 * n_first + 4 * n + 2;
    if (need > size) {
        char *large = malloc(need);
        if (large) {
            line = large;
            size = need;
        }
    }
    size_t at = prefix(line, size, level);
    at += log_escape(line + at, size - at - 1, first, n_first, "\t");
    line[at++] = '\n';
    if (n && size - at > 1) {
        at += put_lines(line + at, size - at - 1, text, n);
        if (line[at - 1] != '\n')
            line[at++] = '\n';
    }
    emit(line, at);
    if (line != small)
        free(line);
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
        compose(level, large ? large : small, have, NULL, 0);
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
    compose(level, first, strlen(first), text, n);
}
