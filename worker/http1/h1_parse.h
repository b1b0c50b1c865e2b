/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_parse.h: from the bytes of a guarded head to the spans of a request; the only file that knows http-parser. */
#ifndef TINE_HTTP_H1_PARSE_H
#define TINE_HTTP_H1_PARSE_H

#include <stddef.h>

struct req;

enum h1_parse_result {
    H1_PARSE_OK,
    H1_PARSE_BAD, /* 400; the next three as well, and say why */
    H1_PARSE_LENGTH_INVALID,
    H1_PARSE_LENGTH_REPEATED,
    H1_PARSE_CODING_WITH_LENGTH,
    H1_PARSE_NO_MEMORY,
};

/* `head` holds exactly one head that passed h1_guard_head(), CRLFCRLF included. Sets req->head (head_owned = false),
 * version, method, target, fields and n_fields (names lowered in place, values without OWS), known[], keep_alive,
 * is_head, te_trailers, expect_continue; clears path and query. On entry only req->fields and cap_fields must be valid
 * (NULL and 0, or heap memory of an earlier request, which is used again). Touches nothing else and splits nothing
 * else: target form, Host, lengths are head_rules' business. Fields of http-parser never reach the body.
 * Other results: the request has a line (version, method, target) and no fields. */
enum h1_parse_result h1_parse_head(struct req *r, char *head, size_t n);

/* Version of http-parser, "2.9.4". */
const char *h1_parse_version(void);

#endif
