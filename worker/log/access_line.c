/* SPDX-License-Identifier: BSD-3-Clause */
/* access_line.c: writes one line of the access log. One function per atom, in a table; the atoms mean what they mean to
 * gunicorn (and R, S, st, Uq to hypercorn). Writes to its buffer only.
 */
#include "worker/log/access_line.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/utf8.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/http/tracing.h"
#include "worker/log/basic_user.h"

/* A line being made. A failed addition is remembered, so that it is asked for once. */
struct line {
    struct buf *out;
    const struct req *r;
    uint64_t us;
    const struct timespec *now;
    const struct access_time *time;
    const struct log_atom *atom;
    size_t limit;
    bool raw; /* values are wanted as they are: they will stand in JSON */
    bool failed;
};

static const char hex[] = "0123456789ABCDEF";

static void put(struct line *l, const void *p, size_t n)
{
    if (buf_add(l->out, p, n) < 0)
        l->failed = true;
}

static void put_span(struct line *l, struct span s)
{
    put(l, s.p, s.n);
}

static void put_number(struct line *l, uint64_t n)
{
    char text[24], *p = text + sizeof(text);
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    put(l, p, (size_t)(text + sizeof(text) - p));
}

/* Writes bytes of a request so that they stay inside their place: as nginx does. */
static void put_escaped(struct line *l, struct span s)
{
    size_t from = 0, used = 0, i;
    for (i = 0; i < s.n && used < l->limit; i++) {
        unsigned char c = (unsigned char)s.p[i];
        used++;
        if (l->raw || (c >= 0x20 && c < 0x7f && c != '"' && c != '\\'))
            continue;
        put(l, s.p + from, i - from);
        char escape[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
        put(l, escape, sizeof(escape));
        used += 3;
        from = i + 1;
    }
    put(l, s.p + from, i - from);
    if (i < s.n)
        put_span(l, SPAN("..."));
}

static void put_or_dash(struct line *l, struct span s)
{
    if (s.n)
        put_escaped(l, s);
    else
        put_span(l, SPAN("-"));
}

static struct span protocol(const struct req *r)
{
    return r->version == HTTP_1_0 ? SPAN("HTTP/1.0") : r->version == HTTP_1_1 ? SPAN("HTTP/1.1") : SPAN("HTTP/2");
}

/* --- fields --- */

/* All values of the fields of this name, joined as RFC 9110 5.3 has it. */
static void put_request_field(struct line *l, struct span name)
{
    bool any = false;
    for (uint32_t i = 0; i < l->r->n_fields; i++) {
        const struct field *f = &l->r->fields[i];
        if (!span_ieq(req_span(l->r, f->name), name))
            continue;
        if (any)
            put_span(l, SPAN(", "));
        put_escaped(l, req_span(l->r, f->value));
        any = true;
    }
    if (!any)
        put_span(l, SPAN("-"));
}

static void put_response_field(struct line *l, struct span name)
{
    struct span s = buf_span(&l->r->logged_fields);
    bool any = false;
    while (s.n) {
        struct span at_name = { s.p, strnlen(s.p, s.n) };
        size_t skip = at_name.n < s.n ? at_name.n + 1 : s.n;
        struct span value = { s.p + skip, strnlen(s.p + skip, s.n - skip) };
        if (span_ieq(at_name, name)) {
            if (any)
                put_span(l, SPAN(", "));
            put_escaped(l, value);
            any = true;
        }
        skip += value.n + 1;
        s.p += skip < s.n ? skip : s.n;
        s.n -= skip < s.n ? skip : s.n;
    }
    if (!any)
        put_span(l, SPAN("-"));
}

static void put_user(struct line *l)
{
    char user[256];
    struct span s = req_known(l->r, FIELD_AUTHORIZATION);
    size_t n = 0;
    if (s.n > 6 && span_ieq((struct span){ s.p, 6 }, SPAN("Basic ")))
        n = basic_user(span_trim((struct span){ s.p + 6, s.n - 6 }), user, sizeof(user));
    /* The only value of a peer that stands without quotes: a blank in it would make two values of one. */
    struct span rest = { user, n };
    for (const char *blank; (blank = memchr(rest.p, ' ', rest.n)); put_span(l, SPAN("\\x20"))) {
        put_escaped(l, (struct span){ rest.p, (size_t)(blank - rest.p) });
        rest.n -= (size_t)(blank + 1 - rest.p);
        rest.p = blank + 1;
    }
    if (rest.n || !n)
        put_or_dash(l, rest);
}

/* --- atoms --- */

static void put_client(struct line *l)
{
    put_or_dash(l, l->r->client ? span_of(l->r->client->host) : SPAN(""));
}

static void put_path(struct line *l)
{
    put_or_dash(l, req_span(l->r, l->r->path));
}

static void put_path_query(struct line *l)
{
    put_path(l);
    if (l->r->query.n) {
        put_span(l, SPAN("?"));
        put_escaped(l, req_span(l->r, l->r->query));
    }
}

static void put_request_line(struct line *l)
{
    put_or_dash(l, req_span(l->r, l->r->method));
    put_span(l, SPAN(" "));
    put_or_dash(l, req_span(l->r, l->r->target));
    put_span(l, SPAN(" "));
    put_span(l, protocol(l->r));
}

static void put_length(struct line *l)
{
    put_number(l, l->r->sent_body);
}

static void put_length_or_dash(struct line *l)
{
    if (l->r->sent_body)
        put_length(l);
    else
        put_span(l, SPAN("-"));
}

static void put_decimal(struct line *l)
{
    char text[40];
    int n = snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64, l->us / 1000000, l->us % 1000000);
    put(l, text, (size_t)n);
}

static void put_pid(struct line *l)
{
    put_span(l, SPAN("<"));
    put_number(l, (uint64_t)getpid());
    put_span(l, SPAN(">"));
}

static void put_literal(struct line *l)
{
    put(l, l->atom->text, l->atom->n);
}

static void put_dash(struct line *l)
{
    put_span(l, SPAN("-"));
}

static void put_time(struct line *l)
{
    put(l, l->time->clf, l->time->clf_n);
}

static void put_method(struct line *l)
{
    put_or_dash(l, req_span(l->r, l->r->method));
}

static void put_query(struct line *l)
{
    put_escaped(l, req_span(l->r, l->r->query));
}

static void put_protocol(struct line *l)
{
    put_span(l, protocol(l->r));
}

static void put_status(struct line *l)
{
    put_number(l, l->r->status);
}

static void put_phrase(struct line *l)
{
    put_or_dash(l, span_of(resp_reason(l->r->status)));
}

static void put_referer(struct line *l)
{
    put_or_dash(l, req_known(l->r, FIELD_REFERER));
}

static void put_agent(struct line *l)
{
    put_or_dash(l, req_known(l->r, FIELD_USER_AGENT));
}

static void put_seconds(struct line *l)
{
    put_number(l, l->us / 1000000);
}

static void put_ms(struct line *l)
{
    put_number(l, l->us / 1000);
}

static void put_us(struct line *l)
{
    put_number(l, l->us);
}

static void put_scheme(struct line *l)
{
    put_span(l, l->r->https ? SPAN("https") : SPAN("http"));
}

static void put_iso(struct line *l)
{
    char ms[8];
    put(l, l->time->iso, l->time->iso_n);
    put(l, ms, (size_t)snprintf(ms, sizeof(ms), ".%03uZ", (unsigned)(l->now->tv_nsec / 1000000) % 1000));
}

static void put_request_id(struct line *l)
{
    put_or_dash(l, req_span(l->r, l->r->id));
}

static void put_trace_id(struct line *l)
{
    put_or_dash(l, tracing_trace(l->r));
}

static struct span atom_name(const struct line *l)
{
    return (struct span){ l->atom->text, l->atom->n };
}

static void put_in_field(struct line *l)
{
    put_request_field(l, atom_name(l));
}

static void put_out_field(struct line *l)
{
    put_response_field(l, atom_name(l));
}

static void put_environ(struct line *l)
{
    char name[128];
    snprintf(name, sizeof(name), "%.*s", (int)l->atom->n, l->atom->text);
    put_or_dash(l, span_of(getenv(name)));
}

static void (*const atoms[])(struct line *l) = {
    [LOG_ATOM_LITERAL] = put_literal,
    [LOG_ATOM_H_REMOTE] = put_client,
    [LOG_ATOM_L] = put_dash,
    [LOG_ATOM_U_USER] = put_user,
    [LOG_ATOM_T_TIME] = put_time,
    [LOG_ATOM_R_LINE] = put_request_line,
    [LOG_ATOM_M_METHOD] = put_method,
    [LOG_ATOM_U_PATH] = put_path,
    [LOG_ATOM_Q_QUERY] = put_query,
    [LOG_ATOM_H_PROTOCOL] = put_protocol,
    [LOG_ATOM_S_STATUS] = put_status,
    [LOG_ATOM_B_LENGTH] = put_length,
    [LOG_ATOM_B_LENGTH_OR_DASH] = put_length_or_dash,
    [LOG_ATOM_F_REFERER] = put_referer,
    [LOG_ATOM_A_AGENT] = put_agent,
    [LOG_ATOM_T_SECONDS] = put_seconds,
    [LOG_ATOM_M_MS] = put_ms,
    [LOG_ATOM_D_US] = put_us,
    [LOG_ATOM_L_DECIMAL] = put_decimal,
    [LOG_ATOM_P_PID] = put_pid,
    [LOG_ATOM_IN_FIELD] = put_in_field,
    [LOG_ATOM_OUT_FIELD] = put_out_field,
    [LOG_ATOM_ENVIRON] = put_environ,
    [LOG_ATOM_R_LINE_QUERY] = put_request_line,
    [LOG_ATOM_S_SCHEME] = put_scheme,
    [LOG_ATOM_ST_PHRASE] = put_phrase,
    [LOG_ATOM_UQ_PATH_QUERY] = put_path_query,
    [LOG_ATOM_ISO_TIME] = put_iso,
    [LOG_ATOM_REQUEST_ID] = put_request_id,
    [LOG_ATOM_TRACE_ID] = put_trace_id,
};

/* --- JSON --- */

/* Bytes at p that can stand as they are; 0: none. */
static size_t plain_json(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    if (c < 0x80)
        return c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
    size_t length = utf8_length(p, n);
    return utf8_is_control(p, length) ? 0 : length;
}

/* Always valid JSON in valid UTF-8: a byte that is not part of well-formed UTF-8, or of a control character, stands for
 * itself as Latin-1. */
static void put_json_bytes(struct line *l, struct span s)
{
    size_t i = 0, used = 0;
    while (i < s.n && used < l->limit) {
        unsigned char c = (unsigned char)s.p[i];
        size_t n = plain_json(s.p + i, s.n - i);
        if (n) {
            put(l, s.p + i, n);
        } else {
            char escape[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
            put(l, escape, sizeof(escape));
        }
        used += n ? n : 6;
        i += n ? n : 1;
    }
    if (i < s.n)
        put_span(l, SPAN("..."));
}

/* ,"name": */
static void put_key(struct line *l, const char *name)
{
    put_span(l, SPAN(",\""));
    put_span(l, span_of(name));
    put_span(l, SPAN("\":"));
}

static void put_json(struct line *l, const char *name, struct span value)
{
    put_key(l, name);
    if (!value.p) {
        put_span(l, SPAN("null"));
        return;
    }
    put_span(l, SPAN("\""));
    put_json_bytes(l, value);
    put_span(l, SPAN("\""));
}

static void put_json_number(struct line *l, const char *name, uint64_t value)
{
    put_key(l, name);
    put_number(l, value);
}

static void put_object(struct line *l)
{
    const struct req *r = l->r;
    char ms[8];
    int n = snprintf(ms, sizeof(ms), ".%03uZ\"", (unsigned)(l->now->tv_nsec / 1000000) % 1000);
    put_span(l, SPAN("{\"time\":\""));
    put(l, l->time->iso, l->time->iso_n);
    put(l, ms, (size_t)n);
    put_json(l, "remote_addr", r->client && r->client->host[0] ? span_of(r->client->host) : span_of(NULL));
    put_json(l, "method", req_span(r, r->method));
    put_json(l, "path", req_span(r, r->path));
    put_json(l, "query", req_span(r, r->query));
    put_json(l, "protocol", protocol(r));
    put_json_number(l, "status", r->status);
    put_json_number(l, "length", r->sent_body);
    put_json_number(l, "duration_us", l->us);
    put_json(l, "referer", req_known(r, FIELD_REFERER));
    put_json(l, "user_agent", req_known(r, FIELD_USER_AGENT));
    put_json(l, "host", req_known(r, FIELD_HOST));
    put_json(l, "scheme", r->https ? SPAN("https") : SPAN("http"));
    put_json_number(l, "pid", (uint64_t)getpid());
    if (r->id.n)
        put_json(l, "request_id", req_span(r, r->id));
    if (r->trace.n)
        put_json(l, "trace_id", req_span(r, r->trace));
    put_span(l, SPAN("}"));
}

static bool is_number(enum log_atom_kind kind)
{
    switch (kind) {
    case LOG_ATOM_S_STATUS:
    case LOG_ATOM_B_LENGTH:
    case LOG_ATOM_T_SECONDS:
    case LOG_ATOM_M_MS:
    case LOG_ATOM_D_US:
    case LOG_ATOM_L_DECIMAL:
        return true;
    default:
        return false;
    }
}

/* A member of an object with fields of one's own. What an atom has no value for ("-") is null. */
static void put_member(struct line *l)
{
    struct buf value = { 0 }, *out = l->out;
    l->out = &value;
    l->raw = true;
    atoms[l->atom->kind](l);
    l->out = out;
    l->raw = false;
    struct span s = buf_span(&value);
    put_json_bytes(l, span_of(l->atom->key));
    put_span(l, SPAN("\":"));
    if (span_eq(s, SPAN("-"))) {
        put_span(l, SPAN("null"));
    } else if (is_number(l->atom->kind)) {
        put_span(l, s);
    } else {
        put_span(l, SPAN("\""));
        put_json_bytes(l, s);
        put_span(l, SPAN("\""));
    }
    buf_release(&value);
}

static void put_members(struct line *l, const struct log_format *format)
{
    for (size_t i = 0; i < format->n; i++) {
        l->atom = &format->v[i];
        put_span(l, i ? SPAN(",\"") : SPAN("{\""));
        put_member(l);
    }
    put_span(l, SPAN("}"));
}

/* --- the line --- */

int access_line_add(struct buf *out, const struct log_format *format, const struct req *r, uint64_t duration_ns,
                    const struct timespec *now, struct access_time *cache, size_t limit)
{
    access_time_note(cache, now);
    struct line l = { .out = out, .r = r, .us = duration_ns / 1000, .now = now, .time = cache, .limit = limit };
    if (format->json && format->n) {
        put_members(&l, format);
    } else if (format->json) {
        put_object(&l);
    } else {
        for (size_t i = 0; i < format->n; i++) {
            l.atom = &format->v[i];
            atoms[l.atom->kind](&l);
        }
    }
    put_span(&l, SPAN("\n"));
    return l.failed ? -1 : 0;
}
