/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_send.c: frames: nghttp2 says whose DATA is next (RFC 9218) and how much the windows allow, the bytes go from where
 * they are to the connection's output in one step. Never makes frames inside itself. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/least.h"
#include "common/likely.h"
#include "conf/conf.h"
#include "worker/http2/h2_priv.h"

#define FRAME_HEAD 9

/* --- what is pending --- */

void h2_drop_output(struct h2_stream *s)
{
    s->req.sent_body -= least(h2_pending(s), s->req.sent_body); /* the access log tells what was sent */
    buf_take(&s->out, buf_len(&s->out));
    buf_release(&s->tail);
    buf_release(&s->trailers);
    s->n_trailers = 0;
    s->lent = (struct span){ NULL, 0 };
    s->file_left = 0;
    if (s->pending)
        s->h->n_pending--;
    s->pending = false;
    if (unlikely(s->out_kept || s->lent_kept))
        h2_weigh_out(s);
}

int h2_own(struct h2_stream *s)
{
    struct span lent = s->lent;
    s->lent = (struct span){ NULL, 0 };
    return buf_add(&s->out, lent.p, lent.n);
}

static int take_file(struct h2_stream *s, char *to, size_t n)
{
    while (n) {
        ssize_t k = pread(s->file_fd, to, n, s->file_at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        to += k;
        n -= (size_t)k;
        s->file_at += k;
        s->file_left -= (uint64_t)k;
    }
    return 0;
}

/* n <= h2_pending(). 0, or -1: the file is shorter than it was. */
static int take(struct h2_stream *s, char *to, size_t n)
{
    size_t k = least(n, buf_len(&s->out));
    if (k) {
        memcpy(to, s->out.p + s->out.start, k);
        buf_take(&s->out, k);
        to += k;
        n -= k;
    }
    if (likely(!n))
        return 0;
    k = least(n, s->lent.n);
    if (k) {
        memcpy(to, s->lent.p, k);
        s->lent = (struct span){ s->lent.p + k, s->lent.n - k };
        to += k;
        n -= k;
    }
    k = least(n, s->file_left);
    if (k && take_file(s, to, k) < 0)
        return -1;
    if (n == k)
        return 0;
    buf_release(&s->out);
    s->out = s->tail;
    s->tail = (struct buf){ 0 };
    return take(s, to + k, n - k);
}

/* --- nghttp2's calls --- */

static int submit_trailers(struct h2_stream *s)
{
    nghttp2_nv *nv = malloc(s->n_trailers * sizeof(*nv));
    char *p = s->trailers.p + s->trailers.start;
    if (!nv)
        return -1;
    for (size_t i = 0; i < s->n_trailers; i++) {
        size_t n_name = strlen(p);
        char *value = p + n_name + 1;
        size_t n_value = strlen(value);
        nv[i] = (nghttp2_nv){ .name = (uint8_t *)p, .namelen = n_name, .value = (uint8_t *)value, .valuelen = n_value };
        p = value + n_value + 1;
    }
    int failed = nghttp2_submit_trailer(s->h->session, s->id, nv, s->n_trailers);
    free(nv);
    return failed ? -1 : 0;
}

ssize_t h2_on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                   nghttp2_data_source *source, void *arg)
{
    struct h2_stream *s = source->ptr;
    uint64_t pending = h2_pending(s);
    if (unlikely(s->cut || (!pending && !s->out_last))) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (s->out_last && pending <= room) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (unlikely(s->n_trailers)) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (submit_trailers(s) < 0) {
                s->broken = true;
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            }
        }
    }
    return (ssize_t)least(room, pending);
}

static void stall(struct h2_stream *s)
{
    struct net *net = s->h->conn->net;
    const struct conf_http *conf = &net->conf->http;
    uint64_t left = pace_left(&s->write_pace, &net->wheel, conf->body_min_rate, conf->write_timeout);
    deadline_set(&net->wheel, &s->write_deadline, left);
}

static void stall_ends(struct h2_stream *s)
{
    struct net *net = s->h->conn->net;
    s->stalling = false;
    pace_rest(&s->write_pace, &net->wheel, net->conf->http.body_min_rate);
    deadline_clear(&s->write_deadline);
}

/* n bytes of output have gone: a handler that waits for it is called soon. */
static void went(struct h2_stream *s, size_t n)
{
    struct h2_conn *h = s->h;
    const struct net *net = h->conn->net;
    uint64_t pending = h2_pending(s);
    pace_paid(&h->write_pace, &net->wheel, net->conf->http.body_min_rate, n);
    pace_paid(&s->write_pace, &net->wheel, net->conf->http.body_min_rate, n);
    if (s->pending && !pending) {
        s->pending = false;
        h->n_pending--;
        if (s->stalling)
            stall_ends(s);
    } else if (s->stalling) {
        stall(s);
    }
    if (unlikely(s->out_kept || s->lent_kept))
        h2_weigh_out(s);
    if (s->later && !s->lent.n && !s->file_left && pending < H2_STREAM_LOW) {
        s->later = false;
        h2_note_drained(s);
    } else if (unlikely(s->failed) && !pending) {
        h2_note_drained(s);
    }
}

int h2_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                    nghttp2_data_source *source, void *arg)
{
    struct h2_stream *s = source->ptr;
    struct h2_conn *h = s->h;
    struct conn *c = h->conn;
    char *to = conn_reserve(c, FRAME_HEAD + n);
    if (!to)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(to, head, FRAME_HEAD);
    if (n && unlikely(take(s, to + FRAME_HEAD, n) < 0)) {
        s->broken = true;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    went(s, n);
    h2_abuse_sent(h, n, !s->pending);
    switch (conn_commit(c, FRAME_HEAD + n, false)) {
    case SENT:
        return 0;
    case LATER:
        return NGHTTP2_ERR_PAUSE;
    case GONE:
        break;
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* --- the loop --- */

static bool is_full(const struct conn *c)
{
    return c->state != CONN_OPEN || buf_len(&c->out) > CONN_HIGH_MARK;
}

/* False: no more can be sent now. */
static bool send_control(struct h2_conn *h)
{
    struct conn *c = h->conn;
    const uint8_t *p;
    ssize_t n = nghttp2_session_mem_send(h->session, &p);
    if (unlikely(n < 0)) {
        conn_abort(c, false);
        return false;
    }
    if (!n)
        return false;
    struct iovec v = { (void *)(uintptr_t)p, (size_t)n };
    return conn_writev_deferred(c, &v, 1) == SENT;
}

/* Streams that could not send all they have: the peer keeps its window shut, or others come first. */
static void watch_stalled(struct h2_conn *h)
{
    struct net *net = h->conn->net;
    uint64_t rate = net->conf->http.body_min_rate;
    struct h2_stream *s;
    bool shut = h->n_pending && nghttp2_session_get_remote_window_size(h->session) <= 0;
    if (shut != h->write_pace.waits)
        (shut ? pace_wait : pace_rest)(&h->write_pace, &net->wheel, rate);
    if (!h->n_pending)
        return;
    TAILQ_FOREACH (s, &h->streams, all) {
        if (!s->pending || s->closed)
            continue;
        h2_weigh_out(s);
        if (s->stalling)
            continue;
        s->stalling = true;
        pace_wait(&s->write_pace, &net->wheel, rate);
        stall(s);
    }
}

void h2_send(struct h2_conn *h)
{
    struct conn *c = h->conn;
    if (h->sending)
        return;
    h->sending = true;
    for (;;) {
        while (!is_full(c) && send_control(h))
            ;
        if (c->state != CONN_OPEN || !is_full(c))
            break;
        conn_flush(c);
        if (is_full(c))
            break;
    }
    if (unlikely((h->n_pending || h->write_pace.waits) && c->state == CONN_OPEN))
        watch_stalled(h);
    h->sending = false;
}

void h2_resume(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    if (!s->pending && h2_pending(s)) {
        s->pending = true;
        h->n_pending++;
    }
    if (s->deferred) {
        s->deferred = false;
        nghttp2_session_resume_data(h->session, s->id);
    }
}
