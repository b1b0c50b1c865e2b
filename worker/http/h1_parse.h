/* h1_parse.h: from the bytes of a guarded head to the spans of a request; the only file that knows http-parser. */
#ifndef TINE_HTTP_H1_PARSE_H
#define TINE_HTTP_H1_PARSE_H

#include <stddef.h>

struct req;

enum h1_parse_result {
    H1_PARSE_OK,
    H1_PARSE_BAD,            /* 400 */
    H1_PARSE_UNKNOWN_METHOD, /* 501: a valid token that http-parser does not know */
    H1_PARSE_NO_MEMORY,
};

/* `head` holds exactly one head that passed h1_guard_head(), CRLFCRLF included. Sets req->head (not owned), version,
 * method, target, fields (names lowered in place), known[], keep_alive, is_head, te_trailers, expect_continue. Splits
 * nothing else: target form, Host, lengths are head_rules' business. Fields of http-parser never reach the body. */
enum h1_parse_result h1_parse_head(struct req *r, char *head, size_t n);

#endif
