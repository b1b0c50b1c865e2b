/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_conn.c: HTTP/1 on a connection: which request is next, and when the connection ends. Heads are h1_head.c, bodies
 * h1_in.c, answers h1_out.c. A request is never started from inside a handler's call, except by the input loop that
 * the handler's answer returns to. */
#include "worker/http1/h1_conn.h"

#include <assert.h>
#include <stdlib.h>

#include "common/likely.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/log/account.h"
#include "worker/http1/h1_priv.h"

#define FREE_REQS 256

/* When the worker drains: for a request that may be on its way on an idle connection, as long as far round trips take, or
 * on a new one, where it is sure to be. */
#define SHUTDOWN_GRACE_MS 500
#define SHUTDOWN_GRACE_NEW_MS 1000

struct h1_shared *h1_shared_new(const struct conf *conf)
{
    struct h1_shared *sh = calloc(1, sizeof(*sh));
    if (!sh)
        return NULL;
    SLIST_INIT(&sh->free);
    sh->limits.line = conf->http.limit_request_line;
    sh->limits.fields = conf->http.limit_request_fields;
    sh->limits.field = conf->http.limit_request_field_size;
    sh->limits.head = conf->http.limit_request_head;
    return sh;
}

static void req_free(struct h1_req *hr)
{
    req_done(&hr->req);
    free(hr);
}

void h1_shared_free(void *shared)
{
    struct h1_shared *sh = shared;
    struct h1_req *hr;
    while ((hr = SLIST_FIRST(&sh->free))) {
        SLIST_REMOVE_HEAD(&sh->free, free);
        req_free(hr);
    }
    free(sh);
}

struct h1_req *h1_req_new(struct h1_conn *h)
{
    struct h1_shared *sh = h1_shared(h);
    struct h1_req *hr = SLIST_FIRST(&sh->free);
    if (likely(hr != NULL)) {
        SLIST_REMOVE_HEAD(&sh->free, free);
        sh->n_free--;
    } else if (!(hr = calloc(1, sizeof(*hr)))) {
        return NULL;
    }
    hr->h = h;
    h->cur = hr;
    return hr;
}

/* A head whose input is gone is counted twice: the application has its own copy of it. */
static size_t weight(const struct h1_req *hr)
{
    const struct req *r = &hr->req;
    size_t head = r->head_owned ? 2 * hr->head_len + r->cap_fields * sizeof(*r->fields) : 0;
    return head + (buf_len(&r->body) ? r->body.cap : 0);
}

void h1_weigh(struct h1_req *hr)
{
    conn_keep(hr->h->conn, &hr->kept, weight(hr));
}

bool h1_may_keep(struct h1_req *hr)
{
    return conn_hold(hr->h->conn, &hr->kept, weight(hr));
}

void h1_release(struct h1_conn *h)
{
    struct h1_shared *sh = h1_shared(h);
    struct h1_req *hr = h->cur;
    h->cur = NULL;
    if (!hr)
        return;
    conn_keep(h->conn, &hr->kept, 0);
    if (sh->head_owner == hr)
        sh->head_owner = NULL;
    if (unlikely(sh->n_free >= FREE_REQS)) {
        buf_release(&hr->head);
        buf_release(&hr->tail);
        req_free(hr);
        return;
    }
    if (hr->head.p)
        buf_release(&hr->head);
    if (hr->tail.p)
        buf_release(&hr->tail);
    req_reset(&hr->req);
    memset((char *)hr + sizeof(hr->req), 0, sizeof(*hr) - sizeof(hr->req));
    SLIST_INSERT_HEAD(&sh->free, hr, free);
    sh->n_free++;
}

void h1_end(struct h1_req *hr, enum req_end why)
{
    struct req *r = &hr->req;
    struct net *net = r->conn->net;
    req_end(r);
    if (unlikely(r->conn->lent.n))
        conn_own(r->conn); /* the handler may let go of what it lent */
    account_request(r);
    if (!hr->dispatched)
        return;
    score_add32(&net->score->inflight, -1);
    score_let_go(net->score, hr->held);
    r->handler->ops->on_end(r, why);
}

void h1_close(struct h1_conn *h)
{
    struct h1_req *hr = h->cur;
    if (h->rest || (hr && !hr->req.body_complete))
        h->conn->linger = true;
    h1_release(h);
    h->state = H1_CLOSING;
    conn_close(h->conn);
}

/* No request is running: waits for the next one, of which nothing is here yet. */
static void become_idle(struct h1_conn *h)
{
    struct conn *c = h->conn;
    if (unlikely(c->peer_eof))
        h1_close(h);
    else
        conn_set_deadline(c, unlikely(c->net->draining) ? SHUTDOWN_GRACE_MS : h->keepalive);
}

/* The present request has ended and its body was received: on to the next one. */
static void next(struct h1_conn *h)
{
    h1_release(h);
    h->state = H1_IDLE;
    h->served = true;
    if (h->in_loop)
        return;
    if (buf_len(&h->conn->in))
        conn_replay(h->conn);
    else
        become_idle(h);
    conn_resume(h->conn);
}

static void drain(struct h1_conn *h)
{
    buf_release(&h->cur->req.body);
    h1_weigh(h->cur);
    h->state = H1_DRAIN;
    h->drained = 0;
    conn_set_deadline(h->conn, H1_DRAIN_MS);
    if (h->in_loop)
        return;
    if (buf_len(&h->conn->in))
        conn_replay(h->conn);
    conn_resume(h->conn);
}

void h1_answered(struct h1_req *hr)
{
    struct h1_conn *h = hr->h;
    struct req *r = &hr->req;
    if (r->state < REQ_ANSWERED)
        req_set_state(r, REQ_ANSWERED);
    h1_end(hr, (enum req_end)r->end);
    if (unlikely(!r->keep_alive || (!r->body_complete && r->expect_continue)))
        h1_close(h);
    else if (unlikely(!r->body_complete))
        drain(h);
    else
        next(h);
}

void h1_fail(struct h1_req *hr, unsigned status, enum req_end why)
{
    struct req *r = &hr->req;
    r->keep_alive = false;
    r->conn->linger = true;
    if (r->state > REQ_HELD) {
        h1_cut(hr, why);
        return;
    }
    r->end = (uint8_t)why;
    resp_error(r, status);
}

void h1_fail_because(struct h1_req *hr, unsigned status, const char *because)
{
    struct req *r = &hr->req;
    r->keep_alive = false;
    r->conn->linger = true;
    resp_error_because(r, status, because);
}

static int h1_open(struct conn *c)
{
    struct site *site = site_of(c);
    if (!site->h1.p) {
        site->h1.p = h1_shared_new(c->net->conf);
        site->h1.free = h1_shared_free;
    }
    struct h1_conn *h = site->h1.p ? calloc(1, sizeof(*h)) : NULL;
    if (!h)
        return -1;
    h->conn = c;
    c->proto_data = h;
    conn_set_deadline(c, c->net->draining ? SHUTDOWN_GRACE_NEW_MS : c->net->conf->http.header_timeout);
    return 0;
}

static size_t take_more_body(struct h1_conn *h, char *p, size_t n)
{
    struct h1_req *hr = h->cur;
    uint64_t before = hr->req.body_received;
    if (h1_body_is_full(hr))
        return 0;
    size_t used = h1_take_body(h, p, n);
    h->rest = n - used;
    if (h->cur == hr && (hr->req.body_received != before || hr->req.body_complete))
        h1_tell_body(hr);
    return used;
}

/* One step through the input. Returns bytes used; 0: nothing more can be done with them now. */
static size_t step(struct h1_conn *h, char *p, size_t n)
{
    size_t used;
    switch (h->state) {
    case H1_IDLE:
    case H1_HEAD:
        return h1_take_head(h, p, n);
    case H1_BODY:
        return take_more_body(h, p, n);
    case H1_DRAIN:
        used = h1_take_body(h, p, n);
        if (h->state == H1_DRAIN && h->cur->req.body_complete)
            next(h);
        return used;
    case H1_WAIT:
    case H1_LEFT:
        return 0;
    case H1_CLOSING:
        break;
    }
    return n;
}

static void h1_too_much(struct conn *c)
{
    struct h1_conn *h = c->proto_data;
    struct span in = buf_span(&c->in);
    if (h->state == H1_HEAD)
        h1_refuse(h, in.p, in.n, 431, "memory");
    else if (h->cur && h->cur->req.state < REQ_ENDED)
        h1_fail(h->cur, 503, REQ_END_BODY_BAD);
    else if (h->state != H1_CLOSING)
        h1_close(h);
}

static size_t h1_data(struct conn *c, char *p, size_t n)
{
    struct h1_conn *h = c->proto_data;
    size_t used = 0;
    h->in_loop = true;
    while (used < n && c->state == CONN_OPEN) {
        size_t k = step(h, p + used, n - used);
        if (!k)
            break;
        used += k;
    }
    h->in_loop = false;
    h->rest = 0;
    if (unlikely(h->state == H1_LEFT)) {
        free(h);
        return used;
    }
    if (unlikely(c->state != CONN_OPEN))
        return n;
    if (unlikely(h->deferred)) {
        h->deferred = false;
        conn_flush(c);
    }
    if (h->cur && unlikely(buf_len(&h->cur->req.body)) && unlikely(!h1_may_keep(h->cur))) {
        h1_too_much(c);
        return n;
    }
    if (likely(used == n)) {
        if (likely(h->state == H1_IDLE))
            become_idle(h);
        else if (h->state == H1_BODY && h1_body_is_full(h->cur))
            conn_pause(c); /* more would have to be kept in between */
    } else if (h->state >= H1_BODY && (h->state == H1_BODY || n - used >= CONN_HIGH_MARK)) {
        if (h->state != H1_BODY || h1_body_is_full(h->cur))
            conn_pause(c);
    }
    return used;
}

static void h1_eof(struct conn *c)
{
    struct h1_conn *h = c->proto_data;
    struct span in = buf_span(&c->in);
    struct h1_req *hr = h->cur;
    switch (h->state) {
    case H1_HEAD:
        h1_refuse(h, in.p, in.n, 400, "head-incomplete");
        break;
    case H1_BODY:
        hr->req.body_lost = true;
        h1_cut(hr, REQ_END_CLIENT_GONE);
        break;
    case H1_WAIT:
        if (hr->dispatched && hr->req.state < REQ_ENDED)
            hr->req.handler->ops->on_peer_eof(&hr->req);
        break;
    default:
        h1_close(h);
    }
}

static void h1_drained(struct conn *c)
{
    struct h1_conn *h = c->proto_data;
    struct h1_req *hr = h->cur;
    if (!hr || hr->req.state == REQ_ENDED)
        return;
    if (hr->file_going)
        h1_file_sent(hr);
    else if (hr->req.state == REQ_ANSWERED)
        h1_answered(hr);
    else if (hr->dispatched)
        resp_drained(&hr->req);
}

static void body_is_late(struct h1_req *hr)
{
    uint64_t left = req_body_patience(&hr->req);
    if (left) /* the loop was held up meanwhile */
        conn_set_deadline(hr->h->conn, left);
    else
        h1_fail(hr, 408, REQ_END_BODY_TIMEOUT);
}

static void h1_deadline(struct conn *c)
{
    struct h1_conn *h = c->proto_data;
    struct span in = buf_span(&c->in);
    if (h->state == H1_HEAD)
        h1_refuse(h, in.p, in.n, 408, "header-timeout");
    else if (h->state == H1_BODY && h->cur->wants_body)
        body_is_late(h->cur);
    else if (h->state == H1_IDLE || h->state == H1_DRAIN)
        h1_close(h);
}

/* Nothing more can be expected on an idle connection but a request that is on its way already: it is still answered,
 * with connection: close. */
static void h1_shutdown(struct conn *c)
{
    struct h1_conn *h = c->proto_data;
    if (h->state == H1_IDLE)
        conn_set_deadline(c, h->served ? SHUTDOWN_GRACE_MS : SHUTDOWN_GRACE_NEW_MS);
}

/* A client that sees its connection end without a byte sends the request again, although a handler has worked on it. */
static void h1_cut_short(struct conn *c)
{
    struct h1_conn *h = c->proto_data;
    struct h1_req *hr = h->cur;
    if (hr && hr->req.state <= REQ_HELD) {
        h1_fail(hr, 503, REQ_END_SHUTDOWN);
        return;
    }
    conn_flush(c);
    conn_abort(c, hr && hr->framing == H1_UNTIL_CLOSE); /* which looks whole without a reset */
}

static size_t clear_data(struct conn *c, char *p, size_t n)
{
    h1_refuse_clear(c->proto_data, p, n);
    return n;
}

static enum req_end end_of(const struct conn *c, enum conn_end why)
{
    if (why == CONN_END_SHUTDOWN)
        return REQ_END_SHUTDOWN;
    return c->file_short ? REQ_END_ABORTED : REQ_END_CLIENT_GONE;
}

static void h1_gone(struct conn *c, enum conn_end why)
{
    struct h1_conn *h = c->proto_data;
    struct handler *handler = site_of(c)->handler;
    if (h->cur && h->cur->req.state < REQ_ENDED)
        h1_end(h->cur, end_of(c, why));
    h1_release(h);
    if (c->user && handler->ops->on_conn_close)
        handler->ops->on_conn_close(handler, c);
    free(h);
    c->proto_data = NULL;
}

const struct proto_ops proto_h1 = {
    .name = "http/1.1",
    .open = h1_open,
    .on_data = h1_data,
    .room = h1_room,
    .on_eof = h1_eof,
    .on_drained = h1_drained,
    .on_deadline = h1_deadline,
    .on_shutdown = h1_shutdown,
    .on_cut = h1_cut_short,
    .on_too_much = h1_too_much,
    .on_close = h1_gone,
};

const struct proto_ops proto_h1_not_tls = {
    .name = "http/1.1 without TLS",
    .open = h1_open,
    .on_data = clear_data,
    .on_eof = h1_eof,
    .on_drained = h1_drained,
    .on_deadline = h1_deadline,
    .on_shutdown = h1_shutdown,
    .on_too_much = h1_too_much,
    .on_close = h1_gone,
};
