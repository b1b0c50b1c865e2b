/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_session.c: an HTTP/1 connection as the worker has it, over any bytes: heads, bodies, pipelined requests, refusals.
 * The last byte of the input chooses how it is cut a second time. However it is, the answers must be the same, and each
 * must be one that a server may send. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/rig.h"

const char *const fuzz_corpora[] = { "http1_tricky.json", "gunicorn_requests.json", NULL };

struct outcome {
    struct buf got;
    bool closed; /* before the client ended its side */
};

static struct rig rig;

/* Answers when the whole body is there, with what it was asked. */
static void answer(struct req *r)
{
    if (!req_body_ended(r)) {
        req_body_want(r);
        return;
    }
    struct span method = req_span(r, r->method), target = req_span(r, r->target), body = req_body(r);
    struct buf text = { 0 };
    uint32_t sum = 0;
    char line[128];
    for (size_t i = 0; i < body.n; i++)
        sum = sum * 31 + (unsigned char)body.p[i];
    for (uint32_t i = 0; i < r->n_fields; i++)
        for (struct span v = req_span(r, r->fields[i].value); v.n; v.p++, v.n--)
            sum = sum * 31 + (unsigned char)*v.p;
    int n = snprintf(line, sizeof line, " %u %llu %u", r->n_fields, (unsigned long long)r->body_received, sum);
    MUST(!buf_add(&text, method.p, method.n) && !buf_add(&text, target.p, target.n) &&
         !buf_add(&text, line, (size_t)n));
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

static struct outcome talk(const uint8_t *data, size_t n, size_t step)
{
    struct peer p;
    peer_open(&p, &rig);
    for (size_t at = 0; at < n; at += step)
        peer_send(&p, data + at, n - at < step ? n - at : step);
    peer_read_all(&p);
    struct outcome o = { .closed = p.eof };
    peer_shut(&p);
    peer_read_all(&p);
    o.got = p.got;
    p.got = (struct buf){ 0 };
    peer_close(&p);
    drop_interim(&o.got);
    MUST(rig.score.inflight == 0 && rig.score.connections == 0);
    return o;
}

/* Answers one behind the other, each of its length; those to HEAD have none. */
static void must_be_answers(struct span s)
{
    while (s.n) {
        const char *end = memmem(s.p, s.n, "\r\n\r\n", 4), *length, *asked;
        MUST(end && s.n > 12 && !memcmp(s.p, "HTTP/1.1 ", 9) && s.p[9] >= '2' && s.p[9] <= '5');
        size_t head = (size_t)(end + 4 - s.p), n = 0;
        length = memmem(s.p, head, "content-length: ", 16);
        asked = s.p + head;
        MUST(length);
        n = strtoul(length + 16, NULL, 10);
        if (n > s.n - head || (s.n - head >= 9 && !memcmp(asked, "HTTP/1.1 ", 9)))
            n = 0;
        s.p += head + n;
        s.n -= head + n;
    }
}

static void start(void)
{
    static const struct handler_ops ops = {
        .name = "fuzz",
        .on_request = on_request,
        .on_body = answer,
        .on_drained = on_nothing,
        .on_peer_eof = on_nothing,
        .on_end = on_end,
    };
    static struct handler handler = { &ops };
    rig_init(&rig, &handler);
    /* A machine may have other things to do for a while. */
    rig.conf.http.keepalive = rig.conf.http.header_timeout = rig.conf.http.body_timeout = 3600000;
    rig.conf.http.limit_request_line = 200;
    rig.conf.http.limit_request_fields = 20;
    rig.conf.http.limit_request_field_size = 200;
    rig.conf.http.limit_request_body = 1 << 20;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig.base)
        start();
    if (!size || size > 3000)
        return 0;
    size_t step = data[size - 1] % 64 + 1;
    struct outcome whole = talk(data, size, size), cut = talk(data, size, step);
    MUST(whole.closed == cut.closed && buf_len(&whole.got) == buf_len(&cut.got));
    MUST(!buf_len(&whole.got) || !memcmp(whole.got.p + whole.got.start, cut.got.p + cut.got.start, buf_len(&cut.got)));
    must_be_answers(buf_span(&whole.got));
    buf_release(&whole.got);
    buf_release(&cut.got);
    return 0;
}
