/* head_rules.h: every refusal of a request's head, once for HTTP/1 and HTTP/2, each with its RFC section. Pure. */
#ifndef TINE_HTTP_HEAD_RULES_H
#define TINE_HTTP_HEAD_RULES_H

#include <stdint.h>

struct req;

/* One row of the table of refusals. */
struct refusal {
    const char *name;  /* for logs and tests, "host-missing" */
    uint16_t status;   /* 400, 413, 414, 417, 421, 431, 501, 505 */
    const char *why;   /* one sentence with the RFC section */
};

/* Judges the fields and target of a parsed head; on success sets path, query, content_length, chunked, body_complete
 * (no body) and, for absolute-form, rewrites the Host field's value. NULL = accepted.
 * limit_body: limit_request_body, 0 = none. */
const struct refusal *head_rules_judge(struct req *r, uint64_t limit_body);

#endif
