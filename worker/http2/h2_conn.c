/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_conn.c: the life of an HTTP/2 connection: its timeouts, how it is ended politely (RFC 9113 6.8) or not, and the
 * order of work: bytes to nghttp2, then what came to the handlers; at the end of the turn frames, then what went. */
#include "worker/http2/h2_conn.h"

#include <stdlib.h>

#include "common/likely.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http2/h2_priv.h"

/* For what may be on its way when we leave: until the PING that follows the notice is answered, at most. */
#define LEAVE_MS 2000

/* From time to time a connection begins anew, which lets the workers share the load. */
#define MAX_AGE_MS (60ul * 60 * 1000)
#define MAX_REQUESTS 1000000u

const char *h2_version(void)
{
    return nghttp2_version(0)->version_str;
}

void h2_wake(struct h2_conn *h)
{
    conn_at_turn_end(h->conn);
}

/* --- the end --- */

/* No stream can continue: requests end, if they have not, and their memory is freed, even while the peer still has to
 * read our GOAWAY. nghttp2 is not called again. */
static void forget(struct h2_conn *h, enum req_end why)
{
    struct h2_stream *s;
    TAILQ_FOREACH (s, &h->streams, all)
        h2_stream_lost(s, why);
    while ((s = TAILQ_FIRST(&h->streams)))
        h2_stream_free(s);
    nghttp2_session_del(h->session);
    h->session = NULL;
    conn_keep(h->conn, &h->library_kept, 0);
    conn_keep(h->conn, &h->head_kept, 0);
}

static void close_now(struct h2_conn *h)
{
    h->state = H2_CLOSED;
    conn_close(h->conn);
    forget(h, REQ_END_CLIENT_GONE);
}

void h2_terminate(struct h2_conn *h, uint32_t error)
{
    if (h->state == H2_CLOSED)
        return;
    h->conn->linger = true;
    nghttp2_session_terminate_session(h->session, error);
    h2_send(h);
    close_now(h);
}

static void say_last(struct h2_conn *h)
{
    h->state = H2_LAST;
    h->to_last = false;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
    conn_no_deadline(h->conn);
    h->idle = false;
}

/* The first GOAWAY says that the end is near, without a last stream; the second, when the peer must have read that,
 * names the last stream. */
static void leave(struct h2_conn *h)
{
    if (h->state != H2_OPEN)
        return;
    h->state = H2_LEAVING;
    nghttp2_submit_shutdown_notice(h->session);
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    conn_set_deadline(h->conn, LEAVE_MS);
    h2_wake(h);
}

/* --- after work --- */

static bool is_over(const struct h2_conn *h)
{
    bool done = TAILQ_EMPTY(&h->streams) && (h->state == H2_LAST || h->conn->peer_eof);
    if (done)
        return !nghttp2_session_want_write(h->session) || h->conn->peer_eof;
    return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}

static bool is_old(const struct h2_conn *h)
{
    return h->n_requests >= MAX_REQUESTS || h2_now() - h->opened_ms >= MAX_AGE_MS;
}

/* Which deadline the connection has; those of requests are their streams'. */
static void settle(struct h2_conn *h)
{
    const struct conf_http *conf = &h->conn->net->conf->http;
    if (unlikely(h->state != H2_OPEN))
        return;
    if (unlikely(h->in_head)) {
        if (!h->head_waits)
            conn_set_deadline(h->conn, conf->header_timeout);
        h->head_waits = true;
        h->idle = false;
        return;
    }
    bool idle = TAILQ_EMPTY(&h->streams);
    if (idle && !h->idle)
        conn_set_deadline(h->conn, h->served ? http_keepalive(h->conn) : conf->header_timeout);
    else if (!idle && (h->idle || h->head_waits))
        conn_no_deadline(h->conn);
    h->idle = idle;
    h->head_waits = false;
}

static void work(struct h2_conn *h)
{
    struct conn *c = h->conn;
    do {
        h2_tell_out(h);
        if (unlikely(!TAILQ_EMPTY(&h->waiting)))
            h2_start_waiting(h);
        if (h->state == H2_CLOSED || c->state != CONN_OPEN)
            return;
        h2_send(h);
    } while (c->state == CONN_OPEN && !TAILQ_EMPTY(&h->out));
    if (c->state != CONN_OPEN)
        return;
    if (unlikely(h->to_last)) {
        say_last(h);
        h2_send(h);
    }
    if (c->state != CONN_OPEN)
        return;
    if (unlikely(is_over(h))) {
        c->linger = true; /* what came after the last stream must not cost the peer the answers or our GOAWAY */
        close_now(h);
    } else {
        h2_weigh_library(h);
        settle(h);
    }
}

static void h2_turn_end(struct conn *c)
{
    struct h2_conn *h = c->proto_data;
    if (unlikely(h->doom))
        h2_terminate(h, h->doom);
    else
        work(h);
}

/* --- the connection's calls --- */

static int h2_open(struct conn *c)
{
    struct site *site = site_of(c);
    c->proto_data = NULL;
    if (!site->h2.p) {
        site->h2.p = h2_shared_new();
        site->h2.free = h2_shared_free;
    }
    struct h2_conn *h = site->h2.p ? calloc(1, sizeof(*h)) : NULL;
    if (!h)
        return -1;
    h->conn = c;
    h->last_id = -1;
    TAILQ_INIT(&h->streams);
    TAILQ_INIT(&h->in);
    TAILQ_INIT(&h->out);
    TAILQ_INIT(&h->waiting);
    if (h2_session_open(h) < 0) {
        free(h);
        return -1;
    }
    c->proto_data = h;
    c->shared = true;
    score_add64(&c->net->score->h2_connections, 1);
    endpoints_of(c, &h->client, &h->server);
    h->opened_ms = h2_now();
    settle(h);
    if (c->net->draining)
        leave(h);
    h2_wake(h);
    return 0;
}

static void malformed(struct h2_conn *h, int error)
{
    log_debug("%s: HTTP/2 connection ended: %s", h->client.host, nghttp2_strerror(error));
    if (error == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2_terminate(h, NGHTTP2_PROTOCOL_ERROR);
    else if (error == NGHTTP2_ERR_NOMEM || error == NGHTTP2_ERR_CALLBACK_FAILURE)
        h2_terminate(h, NGHTTP2_INTERNAL_ERROR);
    else /* a flood of frames that need an answer, or of CONTINUATION */
        h2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void h2_too_much(struct conn *c)
{
    struct h2_conn *h = c->proto_data;
    log_info("%s: HTTP/2 connection ended: it uses too much memory (http.limit_memory)", h->client.host);
    h2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

static size_t h2_data(struct conn *c, char *p, size_t n)
{
    struct h2_conn *h = c->proto_data;
    if (unlikely(h->state == H2_CLOSED))
        return n;
    h2_abuse_frames(h, (const uint8_t *)p, n);
    ssize_t used = nghttp2_session_mem_recv(h->session, (const uint8_t *)p, n);
    if (unlikely(used < 0)) {
        malformed(h, (int)used);
        return n;
    }
    h2_abuse_queue(h, c->net->conf->http.http2_max_concurrent_streams);
    if (unlikely(h->doom)) {
        h2_terminate(h, h->doom);
        return n;
    }
    h2_tell_in(h);
    if (c->state == CONN_OPEN && unlikely(!h2_hold_library(h))) {
        h2_too_much(c);
        return n;
    }
    if (unlikely(h->state == H2_OPEN && is_old(h)))
        leave(h);
    if (c->state == CONN_OPEN)
        h2_wake(h);
    return n;
}

/* The peer can send nothing more, WINDOW_UPDATE included; requests that are complete may still be answered. */
static void h2_eof(struct conn *c)
{
    struct h2_conn *h = c->proto_data;
    struct h2_stream *s, *next;
    for (s = TAILQ_FIRST(&h->streams); s && c->state == CONN_OPEN; s = next) {
        struct req *r = &s->req;
        next = TAILQ_NEXT(s, all);
        if (s->tunnel) {
            s->in_ended = true;
            s->to_read = true;
            h2_note_in(s);
        } else if (r->state < REQ_ENDED && !r->body_complete) {
            r->body_lost = true;
            h2_cut(s, REQ_END_CLIENT_GONE, NGHTTP2_CANCEL);
        } else if (s->dispatched && r->state < REQ_ENDED) {
            r->handler->ops->on_peer_eof(r);
        }
    }
    h2_tell_in(h);
    if (c->state == CONN_OPEN)
        h2_wake(h);
}

static void h2_drained(struct conn *c)
{
    work(c->proto_data);
}

static void h2_deadline(struct conn *c)
{
    struct h2_conn *h = c->proto_data;
    if (h->state == H2_LEAVING) {
        h->to_last = true;
        h2_wake(h);
    } else if (h->state == H2_OPEN && (h->in_head || TAILQ_EMPTY(&h->streams))) {
        h2_terminate(h, NGHTTP2_NO_ERROR);
    }
}

static void h2_shutdown(struct conn *c)
{
    leave(c->proto_data);
}

static void h2_cut_short(struct conn *c)
{
    struct h2_conn *h = c->proto_data;
    struct h2_stream *s;
    TAILQ_FOREACH (s, &h->streams, all) {
        if (s->tunnel || !s->req.conn)
            continue;
        if (s->req.state <= REQ_HELD)
            h2_fail(s, 503, REQ_END_SHUTDOWN);
        else if (s->req.state < REQ_ENDED || s->failed)
            h2_cut(s, REQ_END_SHUTDOWN, NGHTTP2_INTERNAL_ERROR);
    }
    h2_send(h);
    h2_terminate(h, NGHTTP2_NO_ERROR);
}

static void h2_gone(struct conn *c, enum conn_end why)
{
    struct h2_conn *h = c->proto_data;
    struct handler *handler = site_of(c)->handler;
    if (!h)
        return;
    forget(h, why == CONN_END_SHUTDOWN ? REQ_END_SHUTDOWN : REQ_END_CLIENT_GONE);
    if (c->user && handler->ops->on_conn_close)
        handler->ops->on_conn_close(handler, c);
    free(h);
    c->proto_data = NULL;
}

const struct proto_ops proto_h2 = {
    .name = "http/2",
    .open = h2_open,
    .on_data = h2_data,
    .on_eof = h2_eof,
    .on_drained = h2_drained,
    .on_deadline = h2_deadline,
    .on_shutdown = h2_shutdown,
    .on_cut = h2_cut_short,
    .on_too_much = h2_too_much,
    .on_turn_end = h2_turn_end,
    .on_close = h2_gone,
};
