/* SPDX-License-Identifier: BSD-3-Clause */
/* head.h: a parsed request from the text of its head, for tests of what comes after the parser. */
#ifndef TINE_TESTS_HEAD_H
#define TINE_TESTS_HEAD_H

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "worker/http1/h1_guard.h"
#include "worker/http1/h1_parse.h"
#include "worker/http/req.h"

/* Lines are joined as they are: write the CRLFs. The head must be acceptable to guard and parser. */
static inline void head_make(struct req *r, const char *text)
{
    static const struct h1_limits limits = { 8190, 100, 8190, 65536 };
    struct h1_scan scan = { 0 };
    size_t start, end, n = strlen(text);
    memset(r, 0, sizeof(*r));
    if (h1_guard_head(text, n, &limits, &scan, &start, &end) != H1_GUARD_OK || end != n)
        errx(1, "the guard does not like: %s", text);
    char *head = malloc(n - start);
    if (!head)
        err(1, NULL);
    memcpy(head, text + start, n - start);
    if (h1_parse_head(r, head, n - start) != H1_PARSE_OK)
        errx(1, "the parser does not like: %s", text);
}

static inline void head_free(struct req *r)
{
    free(r->head);
    free(r->fields);
    free(r->own_client);
    buf_release(&r->logged_fields);
}

static inline bool is(struct span s, const char *text)
{
    return s.p && span_eq(s, span_of(text));
}

#endif
