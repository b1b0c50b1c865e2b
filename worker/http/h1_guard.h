/* h1_guard.h: the strict pass over the raw bytes of a head, before http-parser may see them (RFC 9112 2-5). Pure. */
#ifndef TINE_HTTP_H1_GUARD_H
#define TINE_HTTP_H1_GUARD_H

#include <stddef.h>

struct h1_limits {
    size_t line;   /* limit_request_line */
    size_t fields; /* limit_request_fields */
    size_t field;  /* limit_request_field_size */
};

enum h1_guard_result {
    H1_GUARD_OK,
    H1_GUARD_MORE,           /* no complete head yet and nothing wrong so far */
    H1_GUARD_BAD,            /* 400 */
    H1_GUARD_LINE_TOO_LONG,  /* 414 */
    H1_GUARD_FIELDS,         /* 431: too many, or one too long */
    H1_GUARD_VERSION,        /* 505: HTTP/<digit>.<digit> but not 1.0 or 1.1 */
    H1_GUARD_H2_PREFACE,     /* the HTTP/2 connection preface "PRI * HTTP/2.0" */
};

/* Looks at [p, p+n): empty lines before the request line (at most 4) are skipped.
 * ret_start: where the request line starts; ret_end: behind the CRLFCRLF (OK only). `*scanned` carries over how far
 * an earlier call on the same head came (0 at first), so that bytes are looked at once; it is relative to p.
 * Violations are reported as soon as the bytes that show them are there. */
enum h1_guard_result h1_guard_head(const char *p, size_t n, const struct h1_limits *limits, size_t *scanned,
                                   size_t *ret_start, size_t *ret_end);

/* The same rules for the trailer section of a chunked body: field lines up to an empty line. ret_end as above. */
enum h1_guard_result h1_guard_trailers(const char *p, size_t n, const struct h1_limits *limits, size_t *ret_end);

#endif
