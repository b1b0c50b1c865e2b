/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_read.c: reads HTTP/1 as the worker does, with the same pure parts (guard, parser, rules, body), for a comparison
 * with other readers. Standard input: cases, each four bytes of length (big-endian) and its bytes. For each case it
 * writes a line per request that is accepted:
 *
 *     request START END KEEP-ALIVE VERSION METHOD TARGET BODY NAME VALUE NAME VALUE...
 *
 * (START and END are offsets in the case; what may hold any byte is hexadecimal, "-" when empty), and a last line
 * "end OFFSET WHY": "done", "more", "closed", or the name of what was refused. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "worker/http1/h1_body.h"
#include "worker/http1/h1_guard.h"
#include "worker/http1/h1_parse.h"
#include "worker/http/head_rules.h"
#include "worker/http/req.h"

/* The defaults of [http]. */
static const struct h1_limits limits = { 8190, 100, 8190, 65536 };

static void put(struct span s)
{
    putchar(' ');
    if (!s.n)
        putchar('-');
    for (size_t i = 0; i < s.n; i++)
        printf("%02x", (unsigned char)s.p[i]);
}

static const char *guard_name(enum h1_guard_result result)
{
    return result == H1_GUARD_MORE            ? "more"
           : result == H1_GUARD_LINE_TOO_LONG ? "request-line-too-long"
           : result == H1_GUARD_FIELDS        ? "fields-too-large"
           : result == H1_GUARD_VERSION       ? "version"
           : result == H1_GUARD_TARGET        ? "target-byte"
           : result == H1_GUARD_H2_PREFACE    ? "http2-preface"
                                              : "head-malformed";
}

/* NULL: the whole body is in `body`, *used bytes of the n at p are it. */
static const char *read_body(const struct req *r, const char *p, size_t n, struct buf *body, size_t *used)
{
    struct h1_body b;
    size_t left = n;
    bool go_on = true;
    if (r->chunked)
        h1_body_init_chunked(&b, &limits);
    else
        h1_body_init_counted(&b, r->content_length > 0 ? (uint64_t)r->content_length : 0);
    while (!r->body_complete && go_on && left && b.state != H1_BODY_DONE && b.state != H1_BODY_BAD) {
        const char *data;
        size_t len = 0;
        go_on = h1_body_feed(&b, &p, &left, &data, &len);
        if (len && buf_add(body, data, len) < 0)
            err(1, NULL);
    }
    *used = n - left;
    return r->body_complete || b.state == H1_BODY_DONE ? NULL : b.state == H1_BODY_BAD ? "body" : "more";
}

static void put_request(const struct req *r, size_t start, size_t end, struct span body, const struct field *fields)
{
    printf("request %zu %zu %d 1.%d", start, end, r->keep_alive, r->version == HTTP_1_1);
    put(req_span(r, r->method));
    put(req_span(r, r->target));
    put(body);
    for (uint32_t i = 0; i < r->n_fields; i++) {
        put(req_span(r, fields[i].name));
        put(req_span(r, fields[i].value));
    }
    putchar('\n');
}

/* One request at p + *at, which moves behind it. NULL: go on; else why not. */
static const char *read_one(struct req *r, char *p, size_t n, size_t *at)
{
    struct h1_scan scan = { 0 };
    size_t start, end, used = 0;
    struct buf body = { 0 };
    enum h1_guard_result guarded = h1_guard_head(p + *at, n - *at, &limits, &scan, &start, &end);
    if (guarded != H1_GUARD_OK)
        return guard_name(guarded);
    char *head = p + *at + start;
    enum h1_parse_result parsed = h1_parse_head(r, head, end - start);
    if (parsed != H1_PARSE_OK)
        return "head-unparsed";
    /* As they came: the rules may put the authority of the target in the place of Host. */
    struct field *fields = calloc(r->n_fields + 1, sizeof *fields);
    if (!fields)
        err(1, NULL);
    if (r->n_fields)
        memcpy(fields, r->fields, r->n_fields * sizeof *fields);
    const struct refusal *refusal = head_rules_judge(r, 0);
    const char *why = refusal ? refusal->name : read_body(r, p + *at + end, n - *at - end, &body, &used);
    if (!why) {
        put_request(r, *at + start, *at + end + used, buf_span(&body), fields);
        *at += end + used;
        if (!r->keep_alive)
            why = "closed";
    }
    free(fields);
    buf_release(&body);
    return why;
}

int main(void)
{
    unsigned char length[4];
    while (fread(length, 1, 4, stdin) == 4) {
        size_t n = (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3], at = 0;
        char *p = malloc(n + 1);
        struct req r;
        memset(&r, 0, sizeof r);
        if (!p || fread(p, 1, n, stdin) != n)
            err(1, "a case");
        const char *why = NULL;
        while (!why && at < n)
            why = read_one(&r, p, n, &at);
        printf("end %zu %s\n", at, why ? why : "done");
        free(r.fields);
        free(p);
    }
    return 0;
}
