/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_corpus.c: the whole way of a request's bytes, guard, parser, rules and body framing, over both corpora: what
 * must be refused is not accepted, and the verdict is the same however the bytes are cut. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/corpus.h"
#include "tests/unit/unit.h"
#include "worker/http1/h1_body.h"
#include "worker/http1/h1_guard.h"
#include "worker/http1/h1_parse.h"
#include "worker/http/head_rules.h"
#include "worker/http/req.h"

/* The longest line is gunicorn's default: its corpus has a case for it. */
static const struct h1_limits limits = { 4094, 100, 8190, 65536 };

/* What became of the first request: a status, 200 = accepted, 0 = more bytes are needed, 2 = the HTTP/2 preface. */
struct outcome {
    unsigned status;
    const char *why;
    size_t body;   /* data bytes */
    size_t used;   /* where the next request would begin */
};

static unsigned guard_status(enum h1_guard_result result)
{
    static const unsigned status[] = {
        [H1_GUARD_OK] = 200,     [H1_GUARD_MORE] = 0,      [H1_GUARD_BAD] = 400,      [H1_GUARD_LINE_TOO_LONG] = 414,
        [H1_GUARD_FIELDS] = 431, [H1_GUARD_VERSION] = 505, [H1_GUARD_H2_PREFACE] = 2,
    };
    return status[result];
}

/* Shows `n` bytes and then one more at a time up to `all`, as a connection would that reads what comes. */
static enum h1_guard_result guard_from(const char *p, size_t n, size_t all, size_t step, size_t *start, size_t *end)
{
    struct h1_scan scan = { 0 };
    for (;;) {
        /* A copy of exactly n bytes lets the sanitizer see reads behind them. */
        char *copy = malloc(n ? n : 1);
        memcpy(copy, p, n);
        enum h1_guard_result result = h1_guard_head(copy, n, &limits, &scan, start, end);
        free(copy);
        if (result != H1_GUARD_MORE || n == all)
            return result;
        n = all - n > step ? n + step : all;
    }
}

static struct outcome run_body(struct h1_body *b, const char *p, size_t n, size_t first, size_t step)
{
    struct outcome o = { 0 };
    size_t shown = first < n ? first : n, used = 0;
    for (;;) {
        size_t left = shown - used;
        char *copy = malloc(left ? left : 1);
        memcpy(copy, p + used, left);
        const char *q = copy, *data;
        size_t run, at = left;
        bool more = true;
        while (more && left && b->state != H1_BODY_DONE && b->state != H1_BODY_BAD) {
            more = h1_body_feed(b, &q, &left, &data, &run);
            o.body += run;
        }
        used += at - left;
        free(copy);
        if (b->state == H1_BODY_DONE || b->state == H1_BODY_BAD || shown == n)
            break;
        shown = n - shown > step ? shown + step : n;
    }
    o.status = b->state == H1_BODY_DONE ? 200 : b->state == H1_BODY_BAD ? 400 : 0;
    o.why = "body";
    o.used = used;
    return o;
}

/* first, step: how the bytes of the head and of the body are cut. */
static struct outcome run(const char *raw, size_t n, size_t first, size_t step)
{
    struct outcome o = { .why = "guard" };
    size_t start, end;
    o.status = guard_status(guard_from(raw, first < n ? first : n, n, step, &start, &end));
    if (o.status != 200)
        return o;

    struct req r;
    memset(&r, 0xa5, sizeof(r));
    r.fields = NULL;
    r.cap_fields = 0;
    char *head = malloc(end - start);
    memcpy(head, raw + start, end - start);
    enum h1_parse_result parsed = h1_parse_head(&r, head, end - start);
    const struct refusal *refusal = parsed == H1_PARSE_OK ? head_rules_judge(&r, 0) : NULL;
    if (parsed != H1_PARSE_OK) {
        o = (struct outcome){ 400, "parser", 0, 0 };
    } else if (refusal) {
        o = (struct outcome){ refusal->status, refusal->name, 0, 0 };
    } else {
        struct h1_body b;
        if (r.chunked)
            h1_body_init_chunked(&b, &limits);
        else
            h1_body_init_counted(&b, r.content_length > 0 ? (uint64_t)r.content_length : 0);
        o = run_body(&b, raw + end, n - end, first > end ? first - end : 0, step);
        o.used += end;
    }
    free(r.fields);
    free(head);
    return o;
}

static void judge(const struct corpus_case *c)
{
    struct outcome whole = run(c->raw, c->n, c->n, 1);
    if (getenv("UNIT_VERBOSE"))
        printf("%-40s %-6s %u %s\n", c->id, c->verdict, whole.status, whole.why);
    if (strcmp(c->verdict, "reject") == 0 && !c->needs_setting)
        CHECK_MSG(whole.status != 200, "too lenient: %s", c->id);

    /* Every cut in two, and byte by byte; for the huge ones, where something happens. */
    size_t stride = c->n > 4096 ? c->n / 97 : 1;
    bool same = true;
    for (size_t cut = 0; cut < c->n && same; cut += stride) {
        struct outcome split = run(c->raw, c->n, cut, c->n);
        same = split.status == whole.status && split.body == whole.body && split.used == whole.used;
    }
    struct outcome crumbs = run(c->raw, c->n, 0, c->n > 4096 ? 61 : 1);
    same = same && crumbs.status == whole.status && crumbs.body == whole.body && crumbs.used == whole.used;
    CHECK_MSG(same, "cutting changes the verdict: %s", c->id);
}

/* What the RFCs order to accept and we do not: each with its reason. */
static const struct {
    const char *id;
    unsigned status;
} exceptions[] = {
    { "ver-1.2", 505 },          /* RFC 9110 15.6.6 allows it */
    { "tgt-connect", 501 },      /* no proxy */
    { "tgt-connect-body", 501 },
    { "ck-size-zeros", 400 }, /* 22 digits: at most 16 are read */
};

static void judge_accept(const struct corpus_case *c)
{
    unsigned want = 200;
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(*exceptions); i++) {
        if (strcmp(exceptions[i].id, c->id) == 0)
            want = exceptions[i].status;
    }
    struct outcome o = run(c->raw, c->n, c->n, 1);
    CHECK_MSG(o.status == want, "%s: %u by %s, not %u", c->id, o.status, o.why, want);
}

int main(void)
{
    static const char *const files[] = { "http1_tricky.json", "gunicorn_requests.json" };
    for (size_t i = 0; i < 2; i++) {
        size_t n;
        struct corpus_case *v = corpus_load(files[i], &n);
        CHECK(n > 100);
        for (size_t k = 0; k < n; k++) {
            judge(&v[k]);
            /* gunicorn accepts things that RFC 9112 tells to refuse: of its corpus, only refusals are binding. */
            if (i == 0 && strcmp(v[k].verdict, "accept") == 0)
                judge_accept(&v[k]);
        }
        corpus_free(v, n);
    }
    return unit_done();
}
