/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_guard.h: the strict pass over the raw bytes of a head, before http-parser may see them (RFC 9112 2-5). Pure. */
#ifndef TINE_HTTP_H1_GUARD_H
#define TINE_HTTP_H1_GUARD_H

#include <stddef.h>

struct h1_limits {
    size_t line;   /* limit_request_line */
    size_t fields; /* limit_request_fields */
    size_t field;  /* limit_request_field_size */
    size_t head;   /* limit_request_head */
};

enum h1_guard_result {
    H1_GUARD_OK,
    H1_GUARD_MORE,           /* no complete head yet and nothing wrong so far */
    H1_GUARD_BAD,            /* 400 */
    H1_GUARD_LINE_TOO_LONG,  /* 414 */
    H1_GUARD_FIELDS,         /* 431: too many, one too long, or all together */
    H1_GUARD_VERSION,        /* 505: HTTP/<digit>.<digit> but not 1.0 or 1.1 */
    H1_GUARD_TARGET,         /* 400: a byte in the target that is neither of a URI nor its end */
    H1_GUARD_H2_PREFACE,     /* the HTTP/2 connection preface "PRI * HTTP/2.0" */
};

/* Where an earlier call on the same head stopped; all zero at the start of a head. Offsets are relative to p, so the
 * bytes may move between calls. */
struct h1_scan {
    size_t at;       /* first byte not looked at */
    size_t line;     /* start of the present line */
    size_t start;    /* start of the request line */
    unsigned fields; /* field lines begun */
    unsigned state;  /* h1_guard.c's own */
};

/* Looks at [p, p+n), each byte once over all calls: empty lines before the request line (at most 4) are skipped.
 * ret_start: where the request line starts; ret_end: after the CRLFCRLF (both set on OK only). limits.line counts the
 * request line without its CRLF, limits.field a field line with it, limits.head all bytes of the head and those skipped.
 * Violations are reported as soon as the bytes that show them are there; after a violation no further call. The result
 * does not depend on how the bytes are cut into calls. */
enum h1_guard_result h1_guard_head(const char *p, size_t n, const struct h1_limits *limits, struct h1_scan *scan,
                                   size_t *ret_start, size_t *ret_end);

/* The same rules for the trailer section of a chunked body: field lines up to an empty line. scan, ret_end as above. */
enum h1_guard_result h1_guard_trailers(const char *p, size_t n, const struct h1_limits *limits, struct h1_scan *scan,
                                       size_t *ret_end);

#endif
