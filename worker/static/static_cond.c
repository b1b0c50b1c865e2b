/* SPDX-License-Identifier: BSD-3-Clause */
/* static_cond.c: judges conditional requests by entity-tags and dates (RFC 9110 13), and reads the three forms of a
 * date. */
#include "worker/static/static_cond.h"

#include <string.h>

#include "worker/http/req.h"

/* The value of a field that there may be one of; p = NULL if absent, *many if there are more. */
static struct span only(const struct req *r, struct span name, bool *many)
{
    struct span found = { NULL, 0 };
    *many = false;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (!span_eq(req_span(r, r->fields[i].name), name))
            continue;
        *many = found.p != NULL;
        found = req_span(r, r->fields[i].value);
    }
    return found;
}

/* Takes one entity-tag off the list, with its quotes, without W/. False: the list has ended or is malformed. */
static bool next_tag(struct span *list, struct span *ret, bool *ret_weak)
{
    while (list->n && (*list->p == ',' || *list->p == ' ' || *list->p == '\t'))
        list->p++, list->n--;
    *ret_weak = list->n > 2 && list->p[0] == 'W' && list->p[1] == '/';
    if (*ret_weak)
        list->p += 2, list->n -= 2;
    if (list->n < 2 || *list->p != '"')
        return false;
    const char *end = memchr(list->p + 1, '"', list->n - 1);
    if (!end)
        return false;
    ret->p = list->p;
    ret->n = (size_t)(end + 1 - list->p);
    list->p += ret->n;
    list->n -= ret->n;
    return true;
}

/* Whether a list of entity-tags, perhaps in several lines, or "*", has the file's own; `strong`: weak ones never match
 * (8.8.3.2). */
static bool lists_tag(const struct req *r, struct span name, struct span etag, bool strong)
{
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (!span_eq(req_span(r, r->fields[i].name), name))
            continue;
        struct span list = span_trim(req_span(r, r->fields[i].value)), tag;
        bool weak;
        if (span_eq(list, SPAN("*")))
            return true;
        while (next_tag(&list, &tag, &weak))
            if (span_eq(tag, etag) && !(strong && weak))
                return true;
    }
    return false;
}

/* False: no such field, or no single valid date in it: as if it were not there (13.1.3, 13.1.4). */
static bool date_in(const struct req *r, struct span name, time_t now, time_t *ret)
{
    bool many;
    struct span text = only(r, name, &many);
    return text.p && !many && static_cond_date(text, now, ret);
}

enum static_cond static_cond_judge(const struct req *r, const struct static_validators *v)
{
    time_t date;
    if (req_field(r, SPAN("if-match")).p) {
        if (!lists_tag(r, SPAN("if-match"), v->etag, true))
            return STATIC_COND_FAILED;
    } else if (date_in(r, SPAN("if-unmodified-since"), v->now, &date) && v->modified > date) {
        return STATIC_COND_FAILED;
    }
    if (req_field(r, SPAN("if-none-match")).p) {
        if (lists_tag(r, SPAN("if-none-match"), v->etag, false))
            return STATIC_COND_NOT_MODIFIED;
    } else if (date_in(r, SPAN("if-modified-since"), v->now, &date) && v->modified <= date) {
        return STATIC_COND_NOT_MODIFIED;
    }
    return STATIC_COND_GO_ON;
}

bool static_cond_range(const struct req *r, const struct static_validators *v)
{
    bool many, weak;
    struct span value = only(r, SPAN("if-range"), &many), tag;
    if (!value.p)
        return true;
    if (many)
        return false;
    value = span_trim(value);
    struct span list = value;
    if (next_tag(&list, &tag, &weak))
        return !weak && !list.n && span_eq(tag, v->etag);
    time_t date;
    /* A date is strong only once the second that it names has passed (8.8.2.2). */
    return static_cond_date(value, v->now, &date) && date == v->modified && v->now > v->modified;
}

/* --- dates --- */

static bool digits(const char *p, int n, int *ret)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        value = value * 10 + (p[i] - '0');
    }
    *ret = value;
    return true;
}

static bool month(const char *p, int *ret)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (memcmp(p, &names[3L * i], 3) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool clock_time(const char *p, struct tm *tm)
{
    return digits(p, 2, &tm->tm_hour) && p[2] == ':' && digits(p + 3, 2, &tm->tm_min) && p[5] == ':' &&
           digits(p + 6, 2, &tm->tm_sec);
}

static bool is_weekday(struct span name, bool whole)
{
    static const char *const names[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
    for (int i = 0; i < 7; i++)
        if (span_eq(name, whole ? span_of(names[i]) : (struct span){ names[i], 3 }))
            return true;
    return false;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool imf_date(struct span s, struct tm *tm)
{
    const char *p = s.p;
    return s.n == 29 && is_weekday((struct span){ p, 3 }, false) && !memcmp(p + 3, ", ", 2) &&
           digits(p + 5, 2, &tm->tm_mday) && p[7] == ' ' && month(p + 8, &tm->tm_mon) && p[11] == ' ' &&
           digits(p + 12, 4, &tm->tm_year) && p[16] == ' ' && clock_time(p + 17, tm) && !memcmp(p + 25, " GMT", 4);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT"; a year that seems more than 50 years ahead is one of the past (5.6.7). */
static bool rfc850_date(struct span s, time_t now, struct tm *tm)
{
    const char *comma = memchr(s.p, ',', s.n);
    if (!comma || !is_weekday((struct span){ s.p, (size_t)(comma - s.p) }, true) || s.p + s.n - comma != 24)
        return false;
    const char *p = comma;
    if (p[1] != ' ' || !digits(p + 2, 2, &tm->tm_mday) || p[4] != '-' || !month(p + 5, &tm->tm_mon) || p[8] != '-' ||
        !digits(p + 9, 2, &tm->tm_year) || p[11] != ' ' || !clock_time(p + 12, tm) || memcmp(p + 20, " GMT", 4) != 0)
        return false;
    struct tm today;
    gmtime_r(&now, &today);
    int this_year = today.tm_year + 1900;
    tm->tm_year += this_year - this_year % 100;
    if (tm->tm_year > this_year + 50)
        tm->tm_year -= 100;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool asctime_date(struct span s, struct tm *tm)
{
    const char *p = s.p;
    if (s.n != 24 || !is_weekday((struct span){ p, 3 }, false) || p[3] != ' ' || !month(p + 4, &tm->tm_mon) ||
        p[7] != ' ' || p[10] != ' ' || !clock_time(p + 11, tm) || p[19] != ' ' || !digits(p + 20, 4, &tm->tm_year))
        return false;
    return p[8] == ' ' ? digits(p + 9, 1, &tm->tm_mday) : digits(p + 8, 2, &tm->tm_mday);
}

bool static_cond_date(struct span text, time_t now, time_t *ret)
{
    struct tm tm = { 0 };
    text = span_trim(text);
    if (!imf_date(text, &tm) && !rfc850_date(text, now, &tm) && !asctime_date(text, &tm))
        return false;
    if (tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    *ret = timegm(&tm);
    return true;
}
