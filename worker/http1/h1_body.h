/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_body.h: strict framing of a request body: counted or chunked (RFC 9112 6, 7). Pure; allocates nothing. */
#ifndef TINE_HTTP_H1_BODY_H
#define TINE_HTTP_H1_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/http1/h1_guard.h"

/* Longest trailer section, and so the most that a caller ever has to keep for h1_body_feed(). */
#define H1_TRAILERS_MAX 65536

enum h1_body_state {
    H1_BODY_COUNTED,
    H1_BODY_CHUNK_SIZE,
    H1_BODY_CHUNK_EXT,
    H1_BODY_CHUNK_LF,
    H1_BODY_CHUNK_DATA,
    H1_BODY_CHUNK_DATA_CR,
    H1_BODY_CHUNK_DATA_LF,
    H1_BODY_TRAILERS,
    H1_BODY_DONE,
    H1_BODY_BAD,
};

struct h1_body {
    enum h1_body_state state;
    uint64_t left;        /* of the body, or of the present chunk */
    unsigned digits;      /* of the present chunk size */
    unsigned ext;         /* bytes of the present extension */
    uint64_t overhead;    /* framing bytes so far, bounded against the data they carried */
    uint64_t data;        /* data bytes so far */
    uint8_t ext_state;    /* inside a quoted string, and so on */
    struct h1_limits limits;
    struct h1_scan scan;  /* of the trailer section */
};

void h1_body_init_counted(struct h1_body *b, uint64_t length);
void h1_body_init_chunked(struct h1_body *b, const struct h1_limits *limits);

/* How many bytes of data come next, before any framing. */
static inline uint64_t h1_body_run(const struct h1_body *b)
{
    return b->state == H1_BODY_COUNTED || b->state == H1_BODY_CHUNK_DATA ? b->left : 0;
}

/* Takes framing from [*p, *p + *n) until a run of data bytes, the end, or the input is used up.
 * Advances *p and *n; ret_data is the run (inside the input; may be empty). Call until *n is 0 or state is DONE or BAD.
 * The trailer section is judged whole: with the input ending inside it, the bytes stay in [*p, *n) and the call returns
 * false: come again with these bytes and more (at most H1_TRAILERS_MAX). Otherwise returns true. Trailer fields are checked
 * and dropped. */
bool h1_body_feed(struct h1_body *b, const char **p, size_t *n, const char **ret_data, size_t *ret_len);

#endif
