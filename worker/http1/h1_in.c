/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_in.c: the body of a request: from the connection's input into req->body, no faster than the handler takes it. */
#include <assert.h>

#include "common/log.h"
#include "common/likely.h"
#include "conf/conf.h"
#include "worker/http1/h1_priv.h"

/* So much of the body may wait for the handler. */
static size_t high_mark(const struct req *r)
{
    if (memory_is_busy(&r->conn->net->memory))
        return CONN_HIGH_MARK;
    return r->body_high > H1_BODY_HIGH ? r->body_high : H1_BODY_HIGH;
}

bool h1_body_is_full(const struct h1_req *hr)
{
    const struct req *r = &hr->req;
    size_t n = buf_len(&r->body);
    return unlikely(n >= CONN_HIGH_MARK) && r->state < REQ_ENDED && n >= high_mark(r);
}

/* Only for a client that sends fast: memory for what it may send counts as kept for it as soon as it has sent some. */
char *h1_room(struct conn *c, size_t *n)
{
    struct h1_conn *h = c->proto_data;
    struct h1_req *hr = h->cur;
    if (likely(h->state != H1_BODY) || !hr->is_fast || hr->req.state >= REQ_ENDED)
        return NULL;
    struct buf *body = &hr->req.body;
    uint64_t run = h1_body_run(&hr->body);
    size_t most = high_mark(&hr->req), have = buf_len(body);
    if (have + H1_ROOM_MIN > most || run < H1_ROOM_MIN)
        return NULL;
    *n = run < most - have ? (size_t)run : most - have;
    return buf_room(body, *n);
}

/* Read to where h1_room() said. */
static bool is_in_place(const struct buf *body, const char *p, size_t n)
{
    return body->cap - body->end >= n && p == body->p + body->end;
}

/* False: the connection is no longer interested in this body. */
static bool take_data(struct h1_conn *h, struct h1_req *hr, const char *p, size_t n)
{
    struct req *r = &hr->req;
    uint64_t limit = r->conn->net->conf->http.limit_request_body;
    r->body_received += n;
    r->expect_continue = false;
    req_body_came(r, n);
    if (r->state == REQ_ENDED) {
        h->drained += (uint32_t)n;
        if (h->drained <= H1_DRAIN_MAX)
            return true;
        h1_close(h);
        return false;
    }
    if (unlikely(limit && r->body_received > limit)) {
        h1_fail(hr, 413, REQ_END_BODY_BAD);
        return false;
    }
    hr->is_fast = n >= H1_ROOM_MIN;
    if (is_in_place(&r->body, p, n)) {
        buf_grew(&r->body, n);
    } else if (unlikely(buf_add(&r->body, p, n) < 0)) {
        h1_fail(hr, 503, REQ_END_BODY_BAD);
        return false;
    }
    return true;
}

static void body_is_bad(struct h1_conn *h, struct h1_req *hr)
{
    site_refuses(h->conn, h->client.host, "body-malformed", 400, "RFC 9112 6: the framing of the body is invalid");
    if (hr->req.state == REQ_ENDED)
        h1_close(h);
    else
        h1_fail(hr, 400, REQ_END_BODY_BAD);
}

size_t h1_take_body(struct h1_conn *h, const char *p, size_t n)
{
    struct h1_req *hr = h->cur;
    size_t left = n;
    while (left && !h1_body_is_full(hr)) {
        const char *data;
        size_t len = 0;
        bool go_on = h1_body_feed(&hr->body, &p, &left, &data, &len);
        h->rest = left;
        if (len && !take_data(h, hr, data, len))
            return n;
        if (hr->body.state == H1_BODY_BAD) {
            body_is_bad(h, hr);
            return n;
        }
        if (hr->body.state == H1_BODY_DONE) {
            hr->req.body_complete = true;
            if (h->state == H1_BODY)
                h->state = H1_WAIT;
            break;
        }
        if (!go_on)
            break;
    }
    return n - left;
}

void h1_tell_body(struct h1_req *hr)
{
    struct req *r = &hr->req;
    if (!hr->wants_body || r->state >= REQ_ANSWERED)
        return;
    hr->wants_body = false;
    req_body_waits(r, false);
    conn_no_deadline(r->conn);
    r->handler->ops->on_body(r);
}

static void send_continue(struct req *r)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    r->expect_continue = false;
    conn_writev(r->conn, &(struct iovec){ (void *)(uintptr_t)line, sizeof(line) - 1 }, 1);
}

void h1_want_body(struct req *r)
{
    struct h1_req *hr = h1_of(r);
    if (r->conn->state != CONN_OPEN)
        return;
    hr->wants_body = true;
    if (r->body_complete) {
        h1_tell_body(hr);
        return;
    }
    /* A handler that takes nothing of a full queue waits forever: it has broken its contract. */
    assert(!h1_body_is_full(hr));
    if (r->expect_continue && r->state == REQ_RUNNING)
        send_continue(r);
    req_body_waits(r, true);
    conn_set_deadline(r->conn, req_body_patience(r));
    conn_resume(r->conn);
}

void h1_took_body(struct req *r)
{
    if (unlikely(h1_of(r)->kept))
        h1_weigh(h1_of(r));
    if (r->conn->paused && buf_len(&r->body) < CONN_LOW_MARK && !r->body_complete)
        conn_resume(r->conn);
}
