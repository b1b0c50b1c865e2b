/* SPDX-License-Identifier: BSD-3-Clause */
/* log_line.h: one record of the error log as bytes: a line of text, an object of JSON, or a datagram of journald's native
 * protocol or of syslog. Pure: writes to memory only, and nothing that a record is about can forge another one. */
#ifndef TINE_COMMON_LOG_LINE_H
#define TINE_COMMON_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "common/span.h"

struct buf;

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR, LOG_LEVEL_CRITICAL };

struct log_record {
    enum log_level level;
    struct timespec when;
    struct tm tm; /* the same in the time of the server, with tm_gmtoff */
    pid_t pid;
    bool colours; /* for a terminal */
    struct span first; /* a line */
    struct span text; /* what follows it, perhaps several lines: a traceback; n = 0: nothing */
};

/* It is a terminal, and nobody has said no (NO_COLOR). */
bool log_line_wants_colours(int fd);
const char *log_level_name(enum log_level level);

/* Each adds one record: 0, or -1: out of memory, and a part of it may be there.
 *
 * text      [2026-11-22 14:00:00 +0000] [pid] [INFO] first line, then the lines of the text, of which none begins as a record
 * json      {"time":"2026-11-22T14:00:00.000+00:00","level":"info","pid":1,"message":"...","text":"..."}
 * syslog    <27>Nov 22 14:00:00 identifier[pid]: and [ERROR] with all lines, or the object of JSON
 * journal   PRIORITY, SYSLOG_IDENTIFIER, TINE_LEVEL and MESSAGE, which has all lines */
int log_line_text(const struct log_record *r, struct buf *to) __attribute__((warn_unused_result));
int log_line_json(const struct log_record *r, struct buf *to) __attribute__((warn_unused_result));
int log_line_syslog(const struct log_record *r, const char *identifier, bool json, struct buf *to)
    __attribute__((warn_unused_result));
int log_line_journal(const struct log_record *r, const char *identifier, struct buf *to)
    __attribute__((warn_unused_result));

/* Copies text with every control character except those in `keep` (of ASCII), and every byte that is no UTF-8, written
 * as \xNN, so that no request can forge a line. Cuts at size (never inside an escape), does not terminate. Returns the
 * bytes written. */
size_t log_escape(char *to, size_t size, const char *text, size_t n, const char *keep);

#endif
