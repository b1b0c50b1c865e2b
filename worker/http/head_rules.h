/* SPDX-License-Identifier: BSD-3-Clause */
/* head_rules.h: every refusal of a request's head, once for HTTP/1 and HTTP/2, each with its RFC section. Pure. */
#ifndef TINE_HTTP_HEAD_RULES_H
#define TINE_HTTP_HEAD_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

struct req;

/* One row of the table of refusals. */
struct refusal {
    const char *name;  /* for logs and tests, "host-missing" */
    uint16_t status;   /* 400, 413, 417, 501 */
    const char *why;   /* one sentence with the RFC section */
};

/* Judges the fields and target of a parsed head (version, method, target, fields, known[] and expect_continue are
 * set). On success sets path, query, content_length and chunked; for HTTP/1 also body_complete (true: no body), and
 * clears expect_continue where there is none (HTTP/2: END_STREAM decides, not this). For absolute-form, the value of
 * the Host field becomes the target's authority (RFC 9112 3.2.2); an HTTP/1.0 request without Host stays without.
 * The path is not decoded: malformed percent-escapes are refused, %00 and the like pass; the query is opaque.
 * Field names with "_" pass: code that folds names to CGI variables (WSGI) has to drop them.
 * NULL = accepted. limit_body: limit_request_body, 0 = none. */
const struct refusal *head_rules_judge(struct req *r, uint64_t limit_body);

/* The row of that name; NULL if there is none. */
const struct refusal *head_rules_named(const char *name);

/* host [":" port] as a Host field may have it: name, IPv4 address or [IPv6 address]; empty is valid. */
bool head_rules_valid_host(struct span s);

/* enum known_field of a lower-case field name, or -1. */
int head_rules_known(struct span lower_name);

#endif
