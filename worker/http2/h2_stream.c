/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_stream.c: the life of a stream and of the request on it: made when its head begins, freed when nghttp2 has forgotten
 * it and its request has ended. What was noted while nghttp2 was running is passed to handlers from here. */
#include <stddef.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/likely.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/log/account.h"
#include "worker/http2/h2_priv.h"

#define FREE_STREAMS 256
#define MEMORY_KEPT (8u << 10) /* of each buffer that an unused stream keeps */

/* --- memory --- */

void h2_stream_memory_free(struct h2_stream *s)
{
    req_done(&s->req);
    buf_release(&s->head);
    buf_release(&s->out);
    free(s->nv_room);
    free(s);
}

static void on_body_deadline(struct deadline *d)
{
    struct h2_stream *s = (struct h2_stream *)(void *)((char *)d - offsetof(struct h2_stream, body_deadline));
    if (s->lingers) {
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
        h2_wake(s->h);
    } else if (s->wants_body) {
        h2_body_is_late(s);
    }
}

/* Output has waited for write_timeout. Only a flow-control window that the peer keeps shut counts against the stream
 * (RFC 9113 10.5): a full socket has the connection's own deadline, and while other streams are being sent, this one
 * waits its turn. */
static void on_write_deadline(struct deadline *d)
{
    struct h2_stream *s = (struct h2_stream *)(void *)((char *)d - offsetof(struct h2_stream, write_deadline));
    struct h2_conn *h = s->h;
    struct net *net = h->conn->net;
    const struct conf_http *conf = &net->conf->http;
    if (!s->pending || h2_is_gone(s)) {
        s->stalling = false;
        return;
    }
    bool shut = nghttp2_session_get_stream_remote_window_size(h->session, s->id) <= 0 ||
                (nghttp2_session_get_remote_window_size(h->session) <= 0 &&
                 !pace_left(&h->write_pace, &net->wheel, conf->body_min_rate, conf->write_timeout));
    if (!shut)
        pace_forgive(&s->write_pace, &net->wheel);
    uint64_t left = pace_left(&s->write_pace, &net->wheel, conf->body_min_rate, conf->write_timeout);
    if (left) {
        deadline_set(&net->wheel, &s->write_deadline, left);
        return;
    }
    s->stalling = false;
    log_debug("%s: stream %d reset: the client kept its window shut for http.write_timeout, or opened it too slowly",
              h->client.host, (int)s->id);
    h2_cut(s, REQ_END_CLIENT_GONE, NGHTTP2_CANCEL);
}

struct h2_stream *h2_stream_new(struct h2_conn *h, int32_t id)
{
    struct h2_shared *sh = h2_shared(h);
    struct h2_stream *s = SLIST_FIRST(&sh->free);
    if (likely(s != NULL)) {
        SLIST_REMOVE_HEAD(&sh->free, free);
        sh->n_free--;
    } else if (!(s = calloc(1, sizeof(*s)))) {
        return NULL;
    }
    s->h = h;
    s->id = id;
    s->file_fd = -1;
    s->held = -1;
    deadline_init(&s->body_deadline, on_body_deadline);
    deadline_init(&s->write_deadline, on_write_deadline);
    TAILQ_INSERT_TAIL(&h->streams, s, all);
    score_add64(&h->conn->net->score->h2_streams, 1);
    score_add32(&h->conn->net->score->h2_open, 1);
    return s;
}

static void keep_little(struct buf *b)
{
    if (b->cap > MEMORY_KEPT)
        buf_release(b);
    b->start = b->end = 0;
}

static void unqueue(struct h2_stream *s)
{
    if (s->in_queued)
        TAILQ_REMOVE(&s->h->in, s, in_link);
    if (s->out_queued)
        TAILQ_REMOVE(&s->h->out, s, out_link);
    s->in_queued = s->out_queued = false;
}

void h2_stream_free(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    struct h2_shared *sh = h2_shared(h);
    struct wheel *wheel = &h->conn->net->wheel;
    unqueue(s);
    h2_wait_no_more(s);
    if (s->dispatched)
        h->n_taken--;
    TAILQ_REMOVE(&h->streams, s, all);
    score_add32(&h->conn->net->score->h2_open, -1);
    h2_drop_output(s);
    buf_take(&s->req.body, buf_len(&s->req.body));
    h2_credit(s);
    h2_weigh_nothing(s);
    deadline_done(wheel, &s->body_deadline);
    deadline_done(wheel, &s->write_deadline);
    req_reset(&s->req);
    keep_little(&s->head);
    keep_little(&s->out);
    if (s->nv_cap > MEMORY_KEPT) {
        free(s->nv_room);
        s->nv_room = NULL;
        s->nv_cap = 0;
    }
    if (unlikely(sh->n_free >= FREE_STREAMS)) {
        h2_stream_memory_free(s);
        return;
    }
    struct h2_stream kept = {
        .req = s->req, .head = s->head, .out = s->out, .nv_room = s->nv_room, .nv_cap = s->nv_cap
    };
    *s = kept;
    SLIST_INSERT_HEAD(&sh->free, s, free);
    sh->n_free++;
}

/* --- the end of a request --- */

/* Of a head that has not left there is no status. */
static void account(struct h2_stream *s)
{
    if (unlikely(s->cut || s->closed) && !s->head_sent)
        s->req.status = 0;
    account_request(&s->req);
}

void h2_end(struct h2_stream *s, enum req_end why)
{
    struct req *r = &s->req;
    struct net *net = r->conn->net;
    if (r->state == REQ_ENDED)
        return;
    req_end(r);
    s->wants_body = s->later = false;
    if (!s->lingers)
        deadline_clear(&s->body_deadline);
    if (unlikely(s->lent.n) && h2_own(s) < 0) /* the handler may let go of what it lent */
        h2_cut(s, why, NGHTTP2_INTERNAL_ERROR);
    if (unlikely(s->file_left)) {
        s->file_left = 0;
        h2_cut(s, why, NGHTTP2_INTERNAL_ERROR);
    }
    if (likely(!s->failed))
        account(s);
    if (!s->tunnel) {
        buf_take(&r->body, buf_len(&r->body));
        h2_credit(s);
    }
    if (s->closed) {
        s->to_close = true;
        h2_note_out(s);
    }
    if (!s->dispatched)
        return;
    score_add32(&net->score->inflight, -1);
    score_let_go(net->score, s->held);
    r->handler->ops->on_end(r, why);
}

/* Nothing more of it goes out: it ends, if it has not. */
static void let_go(struct h2_stream *s, enum req_end why)
{
    h2_drop_output(s);
    if (unlikely(s->failed)) {
        s->failed = 0;
        account(s);
    }
    if (s->req.conn)
        h2_end(s, why);
}

void h2_cut(struct h2_stream *s, enum req_end why, uint32_t error)
{
    if (!s->cut && !s->closed) {
        s->cut = true;
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, s->failed ? s->failed : error);
        h2_wake(s->h);
    }
    s->cut = true;
    let_go(s, why);
}

/* A file is not read any more: its descriptor is the handler's. */
static void drop_file(struct h2_stream *s)
{
    s->req.sent_body -= s->file_left + buf_len(&s->tail);
    s->file_left = 0;
    buf_release(&s->tail);
}

void h2_break_off(struct h2_stream *s, enum req_end why, uint32_t error)
{
    if (h2_is_gone(s) || !s->submitted || s->req.state >= REQ_ANSWERED) {
        h2_cut(s, why, error);
        return;
    }
    if (s->end_submitted) { /* the client gets all that it may */
        h2_end(s, why);
        h2_wake(s->h);
        return;
    }
    drop_file(s);
    if ((s->head_sent && !h2_pending(s)) || (s->lent.n && h2_own(s) < 0)) {
        h2_cut(s, why, error);
        return;
    }
    s->failed = error;
    h2_end(s, why);
    h2_wake(s->h);
}

void h2_fail(struct h2_stream *s, unsigned status, enum req_end why)
{
    struct req *r = &s->req;
    if (r->state > REQ_HELD) {
        h2_break_off(s, why, NGHTTP2_CANCEL);
        return;
    }
    r->end = (uint8_t)why;
    resp_error(r, status);
}

void h2_fail_because(struct h2_stream *s, unsigned status, const char *because)
{
    resp_error_because(&s->req, status, because);
}

void h2_refuse(struct h2_stream *s)
{
    log_debug("%s: stream %d refused: it uses too much memory (http.limit_memory)", s->h->client.host, (int)s->id);
    h2_abuse_fault(s->h);
    h2_cut(s, REQ_END_BODY_BAD, NGHTTP2_ENHANCE_YOUR_CALM);
}

void h2_stream_lost(struct h2_stream *s, enum req_end why)
{
    s->closed = s->cut = true;
    h2_drop_output(s); /* first, because h2_end() would copy what is lent */
    if (s->tunnel)
        h2_tunnel_lost(s);
    let_go(s, why);
}

/* --- what was noted --- */

void h2_note_in(struct h2_stream *s)
{
    if (s->in_queued)
        return;
    s->in_queued = true;
    TAILQ_INSERT_TAIL(&s->h->in, s, in_link);
}

void h2_note_out(struct h2_stream *s)
{
    if (s->out_queued)
        return;
    s->out_queued = true;
    TAILQ_INSERT_TAIL(&s->h->out, s, out_link);
}

void h2_note_drained(struct h2_stream *s)
{
    s->to_drain = true;
    h2_note_out(s);
}

static void tell_read(struct h2_stream *s)
{
    if (s->tunnel)
        conn_can_read(s->tunnel);
    else if (unlikely(s->req.protocol.n && s->in_ended) && s->dispatched && s->req.state < REQ_ENDED)
        s->req.handler->ops->on_peer_eof(&s->req); /* as of a connection whose handshake is not answered yet */
    else if (s->dispatched)
        h2_tell_body(s);
    if (buf_len(&s->req.body) && !s->closed && !s->cut && unlikely(!h2_hold_in(s)))
        h2_refuse(s);
}

void h2_tell_in(struct h2_conn *h)
{
    struct h2_stream *s;
    while (h->conn->state == CONN_OPEN && (s = TAILQ_FIRST(&h->in))) {
        bool start = s->to_start, read = s->to_read;
        TAILQ_REMOVE(&h->in, s, in_link);
        s->in_queued = s->to_start = s->to_read = false;
        if (s->closed || s->cut)
            continue;
        if (start)
            h2_start(s);
        if (read && (!start || s->req.protocol.n)) /* a body that came along was seen by the start */
            tell_read(s);
    }
}

static void tell_drained(struct h2_stream *s)
{
    struct req *r = &s->req;
    if (s->tunnel)
        conn_can_write(s->tunnel);
    else if (unlikely(s->failed))
        h2_cut(s, (enum req_end)r->end, s->failed);
    else if (r->state == REQ_ANSWERED)
        h2_end(s, (enum req_end)r->end);
    else if (s->dispatched && r->state < REQ_ENDED)
        resp_drained(r);
}

/* nghttp2 has forgotten the stream. True: it was freed. */
static bool tell_closed(struct h2_stream *s)
{
    struct req *r = &s->req;
    enum req_end why = s->broken || s->cut ? REQ_END_ABORTED : REQ_END_CLIENT_GONE;
    if (s->tunnel)
        h2_tunnel_lost(s);
    if (!s->cut && s->end_submitted && r->state > REQ_HEAD && r->state < REQ_ANSWERED)
        return false; /* an answer without a body has ended before its handler knows */
    if (r->state == REQ_ANSWERED && !h2_pending(s))
        why = (enum req_end)r->end;
    let_go(s, why);
    h2_stream_free(s);
    return true;
}

void h2_tell_out(struct h2_conn *h)
{
    struct h2_stream *s;
    while (h->conn->state == CONN_OPEN && (s = TAILQ_FIRST(&h->out))) {
        bool drain = s->to_drain, close = s->to_close;
        TAILQ_REMOVE(&h->out, s, out_link);
        s->out_queued = s->to_drain = s->to_close = false;
        if (close && tell_closed(s))
            continue;
        if (drain && !s->closed)
            tell_drained(s);
    }
}
