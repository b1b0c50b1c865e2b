/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_in.c: the body of a request: from DATA frames into req->body, within the windows. What the handler has taken is given
 * back to them, so a body that is not read stops its own stream, and the windows bound the memory. */
#include <assert.h>

#include "common/log.h"
#include "common/likely.h"
#include "conf/conf.h"
#include "worker/http2/h2_priv.h"

/* How long the rest of a request may still come once the answer has been sent. */
#define LINGER_MS 2000

/* The client need not send the rest (RFC 9113 8.1). But clients that learn this while what they have sent is on its way
 * take the whole answer for lost (curl 7.88), so they get a moment, and no larger window. After the peer has
 * closed its side nothing comes, and only we can end the stream (a tunnel that was open then, for example). */
void h2_linger(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    if (!h->conn->peer_eof && nghttp2_session_get_stream_local_window_size(h->session, s->id) > 0) {
        s->lingers = true;
        deadline_set(&h->conn->net->wheel, &s->body_deadline, LINGER_MS);
    } else {
        nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    }
}

static void drop_data(struct h2_stream *s, size_t n)
{
    struct h2_conn *h = s->h;
    nghttp2_session_consume_connection(h->session, n);
    if (nghttp2_session_get_stream_local_window_size(h->session, s->id) <= 0)
        nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    h2_wake(h);
}

void h2_credit(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    size_t taken = s->uncredited - buf_len(&s->req.body);
    if (!taken || !h->session)
        return;
    s->uncredited -= taken;
    if (likely(s->in_kept))
        h2_weigh_in(s);
    if (unlikely(s->lingers))
        nghttp2_session_consume_connection(h->session, taken);
    else
        nghttp2_session_consume(h->session, s->id, taken);
    h2_wake(h);
}

void h2_take_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
    struct req *r = &s->req;
    r->body_received += n;
    if (likely(r->conn != NULL)) /* its head has been handled */
        req_body_came(r, n);
    if (unlikely(s->lingers)) {
        drop_data(s, n);
        return;
    }
    s->uncredited += n;
    r->expect_continue = false;
    if ((r->state == REQ_ENDED && !s->tunnel) || s->cut || buf_add(&r->body, p, n) < 0) {
        if (r->state != REQ_ENDED && !s->cut)
            s->fault = H2_FAULT_MEMORY;
        h2_credit(s);
    }
    s->to_read = true;
    h2_note_in(s);
}

static void call_on_body(struct h2_stream *s)
{
    if (!s->wants_body)
        return;
    s->wants_body = false;
    req_body_waits(&s->req, false);
    deadline_clear(&s->body_deadline);
    s->req.handler->ops->on_body(&s->req);
}

void h2_tell_body(struct h2_stream *s)
{
    struct req *r = &s->req;
    uint64_t limit = r->conn->net->conf->http.limit_request_body;
    if (r->state >= REQ_ANSWERED)
        return;
    if (unlikely(limit && r->body_received > limit))
        h2_fail(s, 413, REQ_END_BODY_BAD);
    else if (unlikely(s->fault == H2_FAULT_MEMORY))
        h2_fail(s, 503, REQ_END_BODY_BAD);
    else
        call_on_body(s);
}

/* Bodies of other streams that are not read may keep the window of the connection shut: then the delay is ours. */
void h2_body_is_late(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    struct wheel *wheel = &h->conn->net->wheel;
    if (nghttp2_session_get_local_window_size(h->session) <= 0 ||
        nghttp2_session_get_stream_local_window_size(h->session, s->id) <= 0)
        pace_forgive(&s->req.body_pace, wheel);
    uint64_t left = req_body_patience(&s->req);
    if (left)
        deadline_set(wheel, &s->body_deadline, left);
    else
        h2_fail(s, 408, REQ_END_BODY_TIMEOUT);
}

void h2_want_body(struct req *r)
{
    struct h2_stream *s = h2_of(r);
    struct net *net = r->conn->net;
    if (h2_is_gone(s))
        return;
    s->wants_body = true;
    if (r->body_complete) {
        call_on_body(s);
        return;
    }
    if (r->expect_continue && r->state == REQ_RUNNING) {
        r->expect_continue = false;
        (void)!h2_interim_submit(s, 100, NULL, 0);
        h2_wake(s->h);
    }
    req_body_waits(r, true);
    deadline_set(&net->wheel, &s->body_deadline, req_body_patience(r));
}

void h2_took_body(struct req *r)
{
    h2_credit(h2_of(r));
}
