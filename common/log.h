/* SPDX-License-Identifier: BSD-3-Clause */
/* log.h: the error log of this process. One line or block per call, written at once in one write(2)
 * with the bytes of one call never torn by another process (O_APPEND; at most PIPE_BUF at a time to
 * a pipe). Never blocks on a full pipe: what cannot be written is dropped and counted, and the
 * count is logged when writing works again. Any thread may call
 * log_at() and log_block().
 *
 * Line: [2026-11-22 14:00:00 +0000] [pid] [INFO] text
 */
#ifndef TINE_COMMON_LOG_H
#define TINE_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/log_line.h"

/* Of log files that are made here, less what the umask takes: readable for the group, since a log names clients and paths. */
#define LOG_FILE_MODE 0640

/* Opens `path` for appending: a file; "-": standard error, or journald by its native protocol if that is where standard error
 * leads; "journald" or "syslog", or "journald:/path" of its socket. `json`: see log_line.h; not for journald. 0, or -1 with errno; the
 * log then stays what it was. */
int log_open(const char *path, enum log_level level, bool json);
bool log_is_json(void);
/* The time of the server, which the application cannot move: by log_fix_zone(), before it runs, with the zone that this
 * process has then; log_set_zone(): seconds east of UTC, when they have changed. tm_gmtoff is set. */
void log_local_time(time_t t, struct tm *ret);
void log_fix_zone(void);
void log_set_zone(long utc_offset);
/* From here on root opens the log by trusted_open(): whom the workers run as may write where it is. */
void log_require_trusted_path(void);
bool log_requires_trusted_path(void);
/* Opens the same path again (after rotation). 0 or -1 with errno; the old file stays open on
 * failure. */
int log_reopen(void);
enum log_level log_level(void);
/* From now on; log_open() sets it again. */
void log_set_level(enum log_level level);
/* Descriptor of the log, for faulthandler and for standard error of a daemon. */
int log_fd(void);
/* All descriptors that the log holds besides the standard streams: not to be closed in a child.
 * Returns how many. */
#define LOG_MAX_FDS 2
size_t log_own_fds(int fds[LOG_MAX_FDS]);
/* From here on children find the log unlocked, whatever another thread was writing when they were forked. To be called
 * after forked_begin(): the log closes descriptors while it is locked, so its lock is the outer one. 0, or -1 with errno. */
int log_survive_forks(void) __attribute__((warn_unused_result));
/* False: what the log writes to was closed, or its number is another file's. Standard error, which an application may
 * redirect, is whole whatever it is. */
bool log_is_whole(void);
/* For a process that is another program by exec: the open log of this one, and how it takes it over there. `path` is
 * absolute, or names a daemon; NULL: standard error. The descriptors are close-on-exec afterwards. 0, or -1: out of memory. */
struct log_fds {
    int file; /* -1: standard error */
    int stream; /* a non-blocking twin of standard error; -1: none */
    bool daemon; /* `file` is a socket of journald, or of syslog if the path says so */
};
struct log_fds log_fds(void);
const char *log_path(void);
int log_take(const char *path, enum log_level level, bool json, struct log_fds fds);
/* Lines dropped by this process since it started. */
uint64_t log_dropped(void);

/* One line: control characters but TAB are escaped. */
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `text` may hold several lines (a traceback); it follows the first line as it is, but for control
 * characters other than TAB and LF, which are escaped, and for a blank in front of a line that would
 * begin as a record does. */
void log_block(enum log_level level, const char *first, const char *text, size_t n);

struct buf;
/* Until the next call, which may say NULL, messages of log_at() from level ERROR on are added to `to` as well, a line each
 * without its prefix: for an answer to whoever asked for what fails. In one thread. */
void log_note_errors(struct buf *to);

#define log_debug(...)                            \
    do {                                          \
        if (log_level() <= LOG_LEVEL_DEBUG)       \
            log_at(LOG_LEVEL_DEBUG, __VA_ARGS__); \
    } while (0)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_critical(...) log_at(LOG_LEVEL_CRITICAL, __VA_ARGS__)

#endif
