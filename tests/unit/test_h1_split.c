/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_split.c: a connection answers the same however the bytes of its requests are cut: every case of both corpora
 * whole, byte by byte, and in two pieces at every position. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/corpus.h"
#include "tests/unit/rig.h"
#include "tests/unit/unit.h"

/* Longer cases are cut at some positions only: around the start and the end, and here and there between. */
#define EVERY_CUT 600

/* Answers when the whole body is there, with what it was asked. */
static void answer(struct req *r)
{
    struct span method = req_span(r, r->method), target = req_span(r, r->target), body = req_body(r);
    struct buf text = { 0 };
    char counts[64];
    if (!req_body_ended(r)) {
        req_body_want(r);
        return;
    }
    int n = snprintf(counts, sizeof counts, " %u %llu ", r->n_fields, (unsigned long long)r->body_received);
    if (buf_add(&text, method.p, method.n) || buf_add(&text, " ", 1) || buf_add(&text, target.p, target.n) ||
        buf_add(&text, counts, (size_t)n) || buf_add(&text, body.p, body.n))
        abort();
    for (uint32_t i = 0; i < r->n_fields; i++) {
        struct span name = req_span(r, r->fields[i].name), value = req_span(r, r->fields[i].value);
        if (buf_add(&text, name.p, name.n) || buf_add(&text, value.p, value.n))
            abort();
    }
    req_body_take(r, body.n);
    struct resp_head head = { .status = 200 };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, buf_span(&text), false);
    buf_release(&text);
}

static void on_request(struct handler *h, struct req *r)
{
    answer(r);
}

static void on_nothing(struct req *r)
{
}

static void on_end(struct req *r, enum req_end why)
{
}

static const struct handler_ops ops = {
    .name = "split",
    .on_request = on_request,
    .on_body = answer,
    .on_drained = on_nothing,
    .on_peer_eof = on_nothing,
    .on_end = on_end,
};

struct outcome {
    struct buf got;
    bool closed; /* before the client ended its side */
};

/* A 100 (Continue) depends on whether the body was there already. */
static void drop_interim(struct buf *b)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char *at;
    while (b->p && (at = memmem(b->p + b->start, buf_len(b), interim, sizeof interim - 1))) {
        memmove(at, at + sizeof interim - 1, (size_t)(b->p + b->end - at) - (sizeof interim - 1));
        b->end -= sizeof interim - 1;
    }
}

/* In pieces of `step` bytes behind a first one of `first`. */
static struct outcome feed(struct rig *rig, const char *p, size_t n, size_t first, size_t step)
{
    struct peer peer;
    peer_open(&peer, rig);
    for (size_t at = 0, k = first; at < n; at += k, k = step) {
        if (k > n - at)
            k = n - at;
        peer_send(&peer, p + at, k);
    }
    peer_read_all(&peer);
    struct outcome o = { .closed = peer.eof };
    if (!peer.eof) {
        peer_shut(&peer);
        peer_read_all(&peer);
    }
    o.got = peer.got;
    peer.got = (struct buf){ 0 };
    peer_close(&peer);
    drop_interim(&o.got);
    return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->closed == b->closed && buf_len(&a->got) == buf_len(&b->got) &&
           (!buf_len(&a->got) || memcmp(a->got.p + a->got.start, b->got.p + b->got.start, buf_len(&a->got)) == 0);
}

static bool try_cut(struct rig *rig, const struct corpus_case *c, const struct outcome *whole, size_t first,
                    size_t step)
{
    struct outcome cut = feed(rig, c->raw, c->n, first, step);
    bool ok = same(whole, &cut);
    if (!ok)
        printf("%s cut at %zu, step %zu: %s [%.*s] instead of %s [%.*s]\n", c->id, first, step,
               cut.closed ? "closed" : "open", (int)buf_len(&cut.got), cut.got.p ? cut.got.p + cut.got.start : "",
               whole->closed ? "closed" : "open", (int)buf_len(&whole->got),
               whole->got.p ? whole->got.p + whole->got.start : "");
    buf_release(&cut.got);
    return ok;
}

static void try_case(struct rig *rig, const struct corpus_case *c)
{
    struct outcome whole = feed(rig, c->raw, c->n, c->n, c->n);
    bool ok = try_cut(rig, c, &whole, c->n > 4096 ? c->n - 4096 : 1, 1);
    for (size_t at = 1; ok && at<c->n; at += c->n> EVERY_CUT && at > 64 && at + 64 < c->n ? 61 : 1)
        ok = try_cut(rig, c, &whole, at, c->n);
    CHECK_MSG(ok, "%s", c->id);
    if (strcmp(c->verdict, "reject") == 0 && !c->needs_setting)
        CHECK_MSG(!buf_len(&whole.got) || !memmem(whole.got.p, 13, "HTTP/1.1 200", 12), "%s was accepted", c->id);
    buf_release(&whole.got);
}

int main(void)
{
    static const char *const corpora[] = { "http1_tricky.json", "gunicorn_requests.json" };
    static struct rig rig;
    struct handler handler = { &ops };
    rig_init(&rig, &handler);
    for (size_t i = 0; i < 2; i++) {
        size_t n;
        struct corpus_case *cases = corpus_load(corpora[i], &n);
        for (size_t k = 0; k < n; k++)
            try_case(&rig, &cases[k]);
        corpus_free(cases, n);
    }
    rig_pump(&rig);
    CHECK(rig.score.inflight == 0);
    CHECK(rig.score.connections == 0);
    rig_done(&rig);
    return unit_done();
}
