/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_body.c: strict framing of request bodies, counted or chunked (RFC 9112 6, 7).
 *
 * Gives runs of data that point into the input; copies nothing, keeps nothing but counters. A fault is final: the
 * connection cannot be used again, because where the next request begins is unknown.
 */
#include "worker/http1/h1_body.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "worker/http/chars.h"

#define MAX_DIGITS 16
#define MAX_EXT 256
#define FREE_OVERHEAD (16u << 10)
#define MAX_OVERHEAD_RATIO 4

/* chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ) (RFC 9112 7.1.1) */
enum ext_state {
    EXT_GAP,         /* BWS before ";" */
    EXT_NAME_FIRST,  /* BWS after ";" */
    EXT_NAME,
    EXT_NAME_GAP,    /* BWS after a name: ";" or "=" must follow */
    EXT_VALUE_FIRST, /* BWS after "=" */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_QUOTE_END,
    EXT_BAD,
};

void h1_body_init_counted(struct h1_body *b, uint64_t length)
{
    *b = (struct h1_body){ .state = length ? H1_BODY_COUNTED : H1_BODY_DONE, .left = length };
}

void h1_body_init_chunked(struct h1_body *b, const struct h1_limits *limits)
{
    *b = (struct h1_body){ .state = H1_BODY_CHUNK_SIZE, .limits = *limits };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* After a complete name or value. */
static enum ext_state ext_next(char c, enum ext_state blank)
{
    return c == ';' ? EXT_NAME_FIRST : is_blank(c) ? blank : EXT_BAD;
}

static enum ext_state ext_step(enum ext_state state, char c)
{
    unsigned char u = (unsigned char)c;
    switch (state) {
    case EXT_GAP:
        return ext_next(c, EXT_GAP);
    case EXT_NAME_FIRST:
        return is_blank(c) ? EXT_NAME_FIRST : h1_is_token(u) ? EXT_NAME : EXT_BAD;
    case EXT_NAME:
        if (h1_is_token(u))
            return EXT_NAME;
        return c == '=' ? EXT_VALUE_FIRST : ext_next(c, EXT_NAME_GAP);
    case EXT_NAME_GAP:
        return c == '=' ? EXT_VALUE_FIRST : ext_next(c, EXT_NAME_GAP);
    case EXT_VALUE_FIRST:
        if (is_blank(c))
            return EXT_VALUE_FIRST;
        return c == '"' ? EXT_QUOTED : h1_is_token(u) ? EXT_VALUE : EXT_BAD;
    case EXT_VALUE:
        return h1_is_token(u) ? EXT_VALUE : ext_next(c, EXT_GAP);
    case EXT_QUOTED:
        if (c == '"')
            return EXT_QUOTE_END;
        return c == '\\' ? EXT_QUOTED_PAIR : h1_is_value(u) ? EXT_QUOTED : EXT_BAD;
    case EXT_QUOTED_PAIR:
        return h1_is_value(u) ? EXT_QUOTED : EXT_BAD;
    case EXT_QUOTE_END:
        return ext_next(c, EXT_GAP);
    case EXT_BAD:
        break;
    }
    return EXT_BAD;
}

static bool ext_may_end(enum ext_state state)
{
    return state == EXT_NAME || state == EXT_VALUE || state == EXT_QUOTE_END;
}

/* Trailer fields that say something about framing, routing, the connection or who is asking: they come too late to be
 * obeyed, and a peer that merges them would (RFC 9110 6.5.1). */
static const char *const forbidden[] = {
    "transfer-encoding",
    "content-length",
    "host",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "content-encoding",
    "content-range",
    "authorization",
    "proxy-authorization",
    "cookie",
    "max-forwards",
};

static bool is_forbidden(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++) {
        if (strlen(forbidden[i]) == n && strncasecmp(forbidden[i], name, n) == 0)
            return true;
    }
    return false;
}

/* [p, p+n) passed the guard: field lines with a colon each, then CRLF. */
static bool trailers_allowed(const char *p, size_t n)
{
    const char *end = p + n - 2;
    while (p < end) {
        const char *colon = memchr(p, ':', (size_t)(end - p));
        if (is_forbidden(p, (size_t)(colon - p)))
            return false;
        p = (const char *)memchr(colon, '\n', (size_t)(end - colon)) + 1;
    }
    return true;
}

/* False: more bytes are needed, and those that are here have to be shown again. */
static bool feed_trailers(struct h1_body *b, const char **p, size_t *n)
{
    size_t end;
    enum h1_guard_result result = h1_guard_trailers(*p, *n, &b->limits, &b->scan, &end);
    if (result == H1_GUARD_MORE && *n <= H1_TRAILERS_MAX)
        return false;
    if (result != H1_GUARD_OK || end > H1_TRAILERS_MAX || !trailers_allowed(*p, end)) {
        b->state = H1_BODY_BAD;
        return true;
    }
    *p += end;
    *n -= end;
    b->state = H1_BODY_DONE;
    return true;
}

static enum h1_body_state end_size_line(struct h1_body *b)
{
    if (b->overhead > FREE_OVERHEAD && b->overhead / MAX_OVERHEAD_RATIO > b->data)
        return H1_BODY_BAD; /* a flood of tiny chunks */
    b->digits = b->ext = 0;
    return b->left ? H1_BODY_CHUNK_DATA : H1_BODY_TRAILERS;
}

static enum h1_body_state step_size(struct h1_body *b, char c)
{
    if (h1_is_hex((unsigned char)c)) {
        if (++b->digits > MAX_DIGITS || b->left > (INT64_MAX >> 4))
            return H1_BODY_BAD;
        b->left = b->left << 4 | h1_hex_value((unsigned char)c);
        return H1_BODY_CHUNK_SIZE;
    }
    if (b->digits == 0)
        return H1_BODY_BAD;
    if (c == '\r')
        return H1_BODY_CHUNK_LF;
    b->ext = 1;
    b->ext_state = (uint8_t)ext_step(EXT_GAP, c);
    return b->ext_state == EXT_BAD ? H1_BODY_BAD : H1_BODY_CHUNK_EXT;
}

static enum h1_body_state step_ext(struct h1_body *b, char c)
{
    if (c == '\r')
        return ext_may_end(b->ext_state) ? H1_BODY_CHUNK_LF : H1_BODY_BAD;
    b->ext_state = (uint8_t)ext_step(b->ext_state, c);
    return b->ext_state == EXT_BAD || ++b->ext > MAX_EXT ? H1_BODY_BAD : H1_BODY_CHUNK_EXT;
}

/* One byte of framing. */
static enum h1_body_state step(struct h1_body *b, char c)
{
    b->overhead++;
    switch (b->state) {
    case H1_BODY_CHUNK_SIZE:
        return step_size(b, c);
    case H1_BODY_CHUNK_EXT:
        return step_ext(b, c);
    case H1_BODY_CHUNK_LF:
        return c == '\n' ? end_size_line(b) : H1_BODY_BAD;
    case H1_BODY_CHUNK_DATA_CR:
        return c == '\r' ? H1_BODY_CHUNK_DATA_LF : H1_BODY_BAD;
    case H1_BODY_CHUNK_DATA_LF:
        return c == '\n' ? H1_BODY_CHUNK_SIZE : H1_BODY_BAD;
    default:
        abort(); /* states with data, trailers or an end are not stepped */
    }
}

static void take_data(struct h1_body *b, const char **p, size_t *n, const char **ret_data, size_t *ret_len)
{
    size_t run = b->left < *n ? (size_t)b->left : *n;
    *ret_data = *p;
    *ret_len = run;
    *p += run;
    *n -= run;
    b->left -= run;
    b->data += run;
    if (b->left == 0)
        b->state = b->state == H1_BODY_COUNTED ? H1_BODY_DONE : H1_BODY_CHUNK_DATA_CR;
}

bool h1_body_feed(struct h1_body *b, const char **p, size_t *n, const char **ret_data, size_t *ret_len)
{
    *ret_data = *p;
    *ret_len = 0;
    while (*n) {
        switch (b->state) {
        case H1_BODY_COUNTED:
        case H1_BODY_CHUNK_DATA:
            take_data(b, p, n, ret_data, ret_len);
            return true;
        case H1_BODY_TRAILERS:
            return feed_trailers(b, p, n);
        case H1_BODY_DONE:
        case H1_BODY_BAD:
            return true;
        default:
            b->state = step(b, **p);
            ++*p;
            --*n;
        }
    }
    return true;
}
