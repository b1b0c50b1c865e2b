/* SPDX-License-Identifier: BSD-3-Clause */
/* tracing.c: see tracing.h. New fields stand behind the head, which becomes the request's own for that. */
#include "worker/http/tracing.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/heritage.h"
#include "conf/conf.h"
#include "worker/http/req.h"
#include "worker/net/conn.h"

#define ID_NAME SPAN("x-request-id")
#define TRACE_NAME SPAN("traceparent")
#define STATE_NAME SPAN("tracestate")
#define ID_MOST 128
#define ID_ROOM 36    /* a UUID: the form that most who check it expect */
#define TRACE_ROOM 55 /* 00-TRACE-PARENT-FLAGS */
#define TRACE_AT 3
#define TRACE_DIGITS 32
#define PARENT_AT 36
#define PARENT_DIGITS 16

struct tracing {
    const struct conf_http *conf;
    unsigned left; /* bytes of `random` that were not used yet, its last ones */
    unsigned char random[512];
};

int tracing_new(const struct conf_http *conf, struct tracing **ret)
{
    *ret = NULL;
    if (!conf->request_id && conf->traceparent == CONF_TRACE_OFF)
        return 0;
    if (!(*ret = calloc(1, sizeof **ret)))
        return -1;
    (*ret)->conf = conf;
    return 0;
}

void tracing_free(struct tracing *tracing)
{
    free(tracing);
}

/* --- making --- */

static const unsigned char *take_random(struct tracing *t, unsigned n)
{
    if (t->left < n) {
        if (getrandom(t->random, sizeof t->random, 0) != (ssize_t)sizeof t->random)
            abort(); /* so few bytes are never interrupted, and the pool was ready at boot */
        t->left = sizeof t->random;
    }
    t->left -= n;
    return t->random + t->left;
}

static char *put_hex(char *to, const unsigned char *bytes, unsigned n)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < n; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    return to;
}

/* RFC 9562 5.4: version 4. */
static void make_id(struct tracing *t, char to[ID_ROOM])
{
    static const unsigned char parts[] = { 4, 2, 2, 2, 6 };
    unsigned char bytes[16];
    memcpy(bytes, take_random(t, sizeof bytes), sizeof bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const unsigned char *from = bytes;
    for (unsigned i = 0; i < sizeof parts; from += parts[i++]) {
        if (i)
            *to++ = '-';
        to = put_hex(to, from, parts[i]);
    }
}

static bool is_zero(const unsigned char *bytes, unsigned n)
{
    while (n && !bytes[n - 1])
        n--;
    return !n;
}

static char *put_random(struct tracing *t, char *to, unsigned n)
{
    const unsigned char *bytes;
    do
        bytes = take_random(t, n);
    while (is_zero(bytes, n)); /* which is no id */
    return put_hex(to, bytes, n);
}

static void make_trace(struct tracing *t, char to[TRACE_ROOM])
{
    memcpy(to, "00-", 3);
    char *p = put_random(t, to + TRACE_AT, TRACE_DIGITS / 2);
    *p++ = '-';
    p = put_random(t, p, PARENT_DIGITS / 2);
    memcpy(p, t->conf->traceparent == CONF_TRACE_SAMPLED ? "-01" : "-00", 3);
}

/* --- judging --- */

static bool is_good_id(struct span id)
{
    for (size_t i = 0; i < id.n; i++) {
        unsigned char c = (unsigned char)id.p[i], lower = c | 0x20;
        if (!((c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || (c && strchr("-_.:=+/@", c))))
            return false;
    }
    return id.n && id.n <= ID_MOST;
}

static bool are_digits(const char *p, size_t n)
{
    for (; n; p++, n--)
        if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f')))
            return false;
    return true;
}

static bool is_nought(const char *p, size_t n)
{
    while (n && p[n - 1] == '0')
        n--;
    return !n;
}

/* W3C Trace Context 3.2; a later version may have more behind it. */
static bool is_good_trace(struct span s)
{
    if (s.n < TRACE_ROOM || !are_digits(s.p, 2) || memcmp(s.p, "ff", 2) == 0)
        return false;
    if (s.n > TRACE_ROOM && (memcmp(s.p, "00", 2) == 0 || s.p[TRACE_ROOM] != '-'))
        return false;
    return s.p[2] == '-' && s.p[PARENT_AT - 1] == '-' && s.p[TRACE_ROOM - 3] == '-' &&
           are_digits(s.p + TRACE_AT, TRACE_DIGITS) && are_digits(s.p + PARENT_AT, PARENT_DIGITS) &&
           are_digits(s.p + TRACE_ROOM - 2, 2) && !is_nought(s.p + TRACE_AT, TRACE_DIGITS) &&
           !is_nought(s.p + PARENT_AT, PARENT_DIGITS);
}

/* The only field of this name; NULL: there is none, or more than one. */
static const struct field *only_field(const struct req *r, struct span name)
{
    const struct field *found = NULL;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (!span_eq(req_span(r, r->fields[i].name), name))
            continue;
        if (found)
            return NULL;
        found = &r->fields[i];
    }
    return found;
}

static bool is_trusted(const struct req *r, const struct conf_http *conf)
{
    return conf_nets_match(&conf->forwarded_allow_ips, &r->conn->peer.sa, r->listener && r->listener->guarded);
}

/* --- fields --- */

static void remove_fields(struct req *r, struct span name)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (span_eq(req_span(r, r->fields[i].name), name)) /* none of those that are known */
            continue;
        for (unsigned known = 0; known < N_KNOWN_FIELDS && kept != i; known++)
            if (r->known[known] == i + 1)
                r->known[known] = (uint16_t)(kept + 1);
        r->fields[kept++] = r->fields[i];
    }
    r->n_fields = kept;
}

/* Room for `n` more bytes, and two more fields. Where the bytes go, or NULL. */
static char *extend(struct req *r, size_t used, size_t n)
{
    if (r->cap_fields - r->n_fields < 2) {
        struct field *more = realloc(r->fields, (r->n_fields + 2) * sizeof *more);
        if (!more)
            return NULL;
        r->fields = more;
        r->cap_fields = r->n_fields + 2;
    }
    char *head = malloc(used + n);
    if (!head)
        return NULL;
    memcpy(head, r->head, used);
    if (r->head_owned)
        free(r->head);
    r->head = head;
    r->head_owned = true;
    return head + used;
}

/* Puts a name at *at and leaves *at behind it, where n bytes of a value are to follow. */
static struct piece add_field(struct req *r, char **at, struct span name, uint32_t n)
{
    struct field field = { { (uint32_t)(*at - r->head), (uint32_t)name.n },
                           { (uint32_t)(*at - r->head) + (uint32_t)name.n, n } };
    memcpy(*at, name.p, name.n);
    *at += name.n;
    r->fields[r->n_fields++] = field;
    return field.value;
}

static struct piece digits_of(struct piece traceparent)
{
    return (struct piece){ traceparent.at + TRACE_AT, TRACE_DIGITS };
}

int tracing_apply(struct tracing *t, struct req *r, size_t used)
{
    const struct conf_http *conf = t->conf;
    bool wants_id = conf->request_id, wants_trace = conf->traceparent != CONF_TRACE_OFF;
    const struct field *id = wants_id && is_trusted(r, conf) ? only_field(r, ID_NAME) : NULL;
    const struct field *trace = wants_trace ? only_field(r, TRACE_NAME) : NULL;
    if (id && is_good_id(req_span(r, id->value))) {
        r->id = id->value;
        wants_id = false;
    }
    if (trace && is_good_trace(req_span(r, trace->value))) {
        r->trace = digits_of(trace->value);
        wants_trace = false;
    }
    if (!wants_id && !wants_trace)
        return 0;
    char *at = extend(r, used, ID_NAME.n + ID_ROOM + TRACE_NAME.n + TRACE_ROOM);
    if (!at)
        return -1;
    if (wants_id) {
        remove_fields(r, ID_NAME);
        r->id = add_field(r, &at, ID_NAME, ID_ROOM);
        make_id(t, at);
        at += ID_ROOM;
    }
    if (wants_trace) {
        remove_fields(r, TRACE_NAME);
        remove_fields(r, STATE_NAME);
        r->trace = digits_of(add_field(r, &at, TRACE_NAME, TRACE_ROOM));
        make_trace(t, at);
    }
    return 0;
}

/* --- telling --- */

struct span tracing_trace(const struct req *r)
{
    if (r->trace.n)
        return req_span(r, r->trace);
    const struct field *field = only_field(r, TRACE_NAME);
    struct span value = field ? req_span(r, field->value) : SPAN("");
    return is_good_trace(value) ? (struct span){ value.p + TRACE_AT, TRACE_DIGITS } : SPAN("");
}

const char *tracing_words(char to[TRACING_WORDS], struct span id)
{
    *to = '\0';
    if (id.n)
        snprintf(to, TRACING_WORDS, ", request %.*s", (int)(id.n < ID_MOST ? id.n : ID_MOST), id.p);
    return to;
}
