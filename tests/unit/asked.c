/* SPDX-License-Identifier: BSD-3-Clause */
/* asked.c: see asked.h. No memory ends the process. */
#include "tests/unit/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct buf *to, struct span s)
{
    if (buf_add(to, s.p, s.n))
        abort();
}

static void answer(struct req *r)
{
    if (!req_body_ended(r)) {
        req_body_want(r);
        return;
    }
    struct span body = req_body(r);
    struct buf text = { 0 };
    char counts[64];
    int n = snprintf(counts, sizeof counts, " %u %llu ", r->n_fields, (unsigned long long)r->body_received);
    add(&text, req_span(r, r->method));
    add(&text, (struct span){ " ", 1 });
    add(&text, req_span(r, r->target));
    add(&text, (struct span){ counts, (size_t)n });
    add(&text, body);
    for (uint32_t i = 0; i < r->n_fields; i++) {
        add(&text, req_span(r, r->fields[i].name));
        add(&text, req_span(r, r->fields[i].value));
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

static void drop_interim(struct buf *b)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char *at;
    while (b->p && (at = memmem(b->p + b->start, buf_len(b), interim, sizeof interim - 1))) {
        memmove(at, at + sizeof interim - 1, (size_t)(b->p + b->end - at) - (sizeof interim - 1));
        b->end -= sizeof interim - 1;
    }
}

struct outcome asked_talk(struct rig *rig, const void *bytes, size_t n, size_t first, size_t step)
{
    struct peer peer;
    peer_open(&peer, rig);
    for (size_t at = 0, k = first; at < n; at += k, k = step) {
        if (k > n - at)
            k = n - at;
        peer_send(&peer, (const char *)bytes + at, k);
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

bool outcome_same(const struct outcome *a, const struct outcome *b)
{
    return a->closed == b->closed && buf_len(&a->got) == buf_len(&b->got) &&
           (!buf_len(&a->got) || memcmp(a->got.p + a->got.start, b->got.p + b->got.start, buf_len(&a->got)) == 0);
}

void outcome_release(struct outcome *o)
{
    buf_release(&o->got);
}

const struct handler_ops asked_ops = {
    .name = "asked",
    .on_request = on_request,
    .on_body = answer,
    .on_drained = on_nothing,
    .on_peer_eof = on_nothing,
    .on_end = on_end,
};
