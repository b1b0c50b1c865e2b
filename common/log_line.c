/* SPDX-License-Identifier: BSD-3-Clause */
/* log_line.c: see log_line.h. */
#include "common/log_line.h"

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/json_out.h"
#include "common/utf8.h"

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

/* --- text --- */

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

bool log_line_wants_colours(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

/* As terminals show them: what is usual is plain. */
static const char *level_colour(enum log_level level)
{
    static const char *const colours[] = { "\033[2m", "", "\033[33m", "\033[31m", "\033[1;31m" };
    return (unsigned)level < sizeof(colours) / sizeof(*colours) ? colours[level] : "";
}

static size_t prefix(const struct log_record *r, char *to, size_t size)
{
    char when[40];
    if (!strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", &r->tm))
        when[0] = '\0';
    const char *colour = r->colours ? level_colour(r->level) : "";
    int n = snprintf(to, size, "[%s] [%d] %s[%s]%s ", when, (int)r->pid, colour, log_level_name(r->level),
                     *colour ? "\033[0m" : "");
    return n < 0 ? 0 : (size_t)n;
}

int log_line_text(const struct log_record *r, struct buf *to)
{
    size_t size = 100 + 4 * r->first.n + 5 * r->text.n + 2;
    char *line = buf_room(to, size);
    if (!line)
        return -1;
    size_t at = prefix(r, line, size);
    at += log_escape(line + at, size - at - 1, r->first.p, r->first.n, "\t");
    line[at++] = '\n';
    if (r->text.n) {
        at += put_lines(line + at, size - at - 1, r->text.p, r->text.n);
        if (line[at - 1] != '\n')
            line[at++] = '\n';
    }
    buf_grew(to, at);
    return 0;
}

/* --- JSON --- */

static void put_time(struct json_out *j, const struct log_record *r)
{
    char day[32], text[64];
    long minutes = labs(r->tm.tm_gmtoff) / 60;
    if (!strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &r->tm))
        day[0] = '\0';
    snprintf(text, sizeof(text), "%s.%03d%c%02ld:%02ld", day, (int)(r->when.tv_nsec / 1000000),
             r->tm.tm_gmtoff < 0 ? '-' : '+', minutes / 60 % 100, minutes % 60);
    json_string(j, "time", text);
}

int log_line_json(const struct log_record *r, struct buf *to)
{
    static const char *const levels[] = { "debug", "info", "warning", "error", "critical" };
    struct json_out j;
    json_begin_document(&j, to);
    json_object(&j, NULL);
    put_time(&j, r);
    json_string(&j, "level", (unsigned)r->level < sizeof(levels) / sizeof(*levels) ? levels[r->level] : "?");
    json_int(&j, "pid", r->pid);
    json_text(&j, "message", r->first.p, r->first.n);
    if (r->text.n)
        json_text(&j, "text", r->text.p, r->text.n);
    json_end_object(&j);
    return json_end_document(&j) < 0 || buf_add(to, "\n", 1) < 0 ? -1 : 0;
}

/* --- syslog --- */

static const int priorities[] = { 7, 6, 4, 3, 2 }; /* syslog(3) */
#define FACILITY_DAEMON 3

/* Months as RFC 3164 has them, whatever the locale. */
static size_t syslog_head(const struct log_record *r, const char *identifier, char *to, size_t size)
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    int n = snprintf(to, size, "<%d>%s %2d %02d:%02d:%02d %.100s[%d]: ", FACILITY_DAEMON * 8 + priorities[r->level],
                     months[r->tm.tm_mon % 12], r->tm.tm_mday, r->tm.tm_hour, r->tm.tm_min, r->tm.tm_sec, identifier,
                     (int)r->pid);
    return n < 0 ? 0 : (size_t)n;
}

int log_line_syslog(const struct log_record *r, const char *identifier, bool json, struct buf *to)
{
    char head[200];
    size_t at = syslog_head(r, identifier, head, sizeof(head)), size = at + 20 + 4 * r->first.n + 5 * r->text.n;
    if (json)
        return buf_add(to, head, at) < 0 ? -1 : log_line_json(r, to);
    char *line = buf_room(to, size);
    if (!line)
        return -1;
    memcpy(line, head, at);
    at += (size_t)snprintf(line + at, size - at, "[%s] ", log_level_name(r->level));
    at += log_escape(line + at, size - at, r->first.p, r->first.n, "\t");
    if (r->text.n) {
        line[at++] = '\n';
        at += put_lines(line + at, size - at, r->text.p, r->text.n);
    }
    buf_grew(to, at);
    return 0;
}

/* --- journald --- */

/* A value with any bytes: its length comes before it (systemd's JOURNAL_NATIVE_PROTOCOL). */
static int put_message(const struct log_record *r, struct buf *to)
{
    size_t n = r->first.n + (r->text.n ? 1 + r->text.n : 0);
    while (n > r->first.n && r->text.p[n - r->first.n - 2] == '\n')
        n--;
    uint64_t length = htole64(n);
    if (buf_add(to, "MESSAGE\n", 8) < 0 || buf_add(to, &length, sizeof(length)) < 0 ||
        buf_add(to, r->first.p, r->first.n) < 0)
        return -1;
    if (n > r->first.n && (buf_add(to, "\n", 1) < 0 || buf_add(to, r->text.p, n - r->first.n - 1) < 0))
        return -1;
    return buf_add(to, "\n", 1);
}

int log_line_journal(const struct log_record *r, const char *identifier, struct buf *to)
{
    char head[200];
    int n = snprintf(head, sizeof(head), "PRIORITY=%d\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=%.100s\nTINE_LEVEL=%s\n",
                     priorities[r->level], identifier, log_level_name(r->level));
    return n < 0 || buf_add(to, head, (size_t)n) < 0 ? -1 : put_message(r, to);
}
