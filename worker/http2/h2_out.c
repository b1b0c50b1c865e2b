/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_out.c: answers: what a handler gives waits at its stream until the turn ends, so that streams leave in the order of
 * their priority and together. Much is sent at once. What a handler may do was checked by resp.c. */
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "common/likely.h"
#include "worker/http2/h2_priv.h"
#include "worker/http/own_fields.h"

/* Files up to this are read at once: their handler need not come back. */
#define FILE_AT_ONCE H2_STREAM_HIGH

static enum resp_result no_memory(struct h2_stream *s)
{
    h2_break_off(s, REQ_END_ABORTED, NGHTTP2_INTERNAL_ERROR);
    return RESP_NO_MEMORY;
}

static enum resp_result h2_start_answer(struct req *r, const struct resp_head *head)
{
    struct h2_stream *s = h2_of(r);
    if (unlikely(h2_is_gone(s)))
        return RESP_GONE;
    return likely(h2_head_keep(s, head) == 0) ? RESP_SENT : no_memory(s);
}

static void h2_withdraw(struct req *r)
{
    struct h2_stream *s = h2_of(r);
    s->n_nv = 0;
    s->has_date = s->has_server = s->has_length = false;
}

void h2_answered(struct h2_stream *s)
{
    struct req *r = &s->req;
    if (r->state < REQ_ANSWERED)
        req_set_state(r, REQ_ANSWERED);
    h2_end(s, (enum req_end)r->end);
}

/* There is new output, or its end (`last`). */
static enum resp_result given(struct h2_stream *s, bool last)
{
    struct h2_conn *h = s->h;
    struct req *r = &s->req;
    s->out_last |= last;
    h2_resume(s);
    if (unlikely(h2_pending(s) >= H2_STREAM_HIGH))
        h2_send(h);
    h2_wake(h);
    if (unlikely(s->broken)) {
        h2_end(s, REQ_END_ABORTED);
        return RESP_TOO_SHORT;
    }
    if (unlikely(h2_is_gone(s)))
        return RESP_GONE;
    bool later = s->lent.n || s->file_left || h2_pending(s) > H2_STREAM_HIGH;
    if (last && (!later || r->answer_unbound)) {
        h2_answered(s);
        return RESP_SENT;
    }
    if (last)
        req_set_state(r, REQ_ANSWERED);
    s->later = later;
    return later ? RESP_LATER : RESP_SENT;
}

/* After what is pending. */
static int keep(struct h2_stream *s, struct span bytes)
{
    struct req *r = &s->req;
    bool idle = !s->file_left && !s->lent.n;
    if (unlikely(s->file_left))
        return buf_add(&s->tail, bytes.p, bytes.n);
    if (unlikely(s->lent.n && h2_own(s) < 0))
        return -1;
    if (idle && r->lends && bytes.n >= RESP_LEND_MIN) {
        s->lent = bytes;
        return 0;
    }
    return buf_add(&s->out, bytes.p, bytes.n);
}

static enum resp_result h2_body(struct req *r, struct span bytes, bool more)
{
    struct h2_stream *s = h2_of(r);
    bool last = !more && !r->answer_trailers;
    if (unlikely(h2_is_gone(s)))
        return RESP_GONE;
    if (!s->submitted) {
        bool end = r->answer_empty || (last && !bytes.n);
        if (unlikely(h2_head_submit(s, bytes.n, !more, end) < 0))
            return no_memory(s);
    }
    if (unlikely(r->answer_empty))
        bytes.n = 0;
    if (bytes.n && unlikely(keep(s, bytes) < 0))
        return no_memory(s);
    r->sent_body += bytes.n;
    return given(s, last);
}

/* 0; -1: the file is too short; -2: no memory. */
static int read_file(struct h2_stream *s, int fd, off_t at, size_t n)
{
    char *to = buf_room(&s->out, n);
    if (!to)
        return -2;
    for (size_t done = 0; done < n;) {
        ssize_t k = pread(fd, to + done, n - done, at + (off_t)done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        done += (size_t)k;
    }
    buf_grew(&s->out, n);
    return 0;
}

static enum resp_result h2_file(struct req *r, int fd, off_t offset, size_t count, bool more)
{
    struct h2_stream *s = h2_of(r);
    if (unlikely(h2_is_gone(s)))
        return RESP_GONE;
    assert(!s->file_left);
    if (!s->submitted && h2_head_submit(s, count, !more, false) < 0)
        return no_memory(s);
    if (s->lent.n && h2_own(s) < 0)
        return no_memory(s);
    r->sent_body += count;
    if (count > FILE_AT_ONCE) {
        s->file_fd = fd;
        s->file_at = offset;
        s->file_left = count;
        return given(s, !more && !r->answer_trailers);
    }
    int failed = read_file(s, fd, offset, count);
    if (unlikely(failed))
        r->sent_body -= count;
    if (failed == -2)
        return no_memory(s);
    if (failed) {
        h2_break_off(s, REQ_END_ABORTED, NGHTTP2_INTERNAL_ERROR);
        return RESP_TOO_SHORT;
    }
    return given(s, !more && !r->answer_trailers);
}

static int keep_trailer(struct h2_stream *s, const struct resp_field *f)
{
    struct span value = span_trim(f->value);
    char *to = buf_room(&s->trailers, f->name.n + value.n + 2);
    if (!to)
        return -1;
    for (size_t i = 0; i < f->name.n; i++) /* RFC 9113 8.2 */
        *to++ = f->name.p[i] >= 'A' && f->name.p[i] <= 'Z' ? (char)(f->name.p[i] | 0x20) : f->name.p[i];
    *to++ = 0;
    memcpy(to, value.p, value.n);
    to[value.n] = 0;
    buf_grew(&s->trailers, f->name.n + value.n + 2);
    s->n_trailers++;
    return 0;
}

static enum resp_result h2_trailers(struct req *r, const struct resp_field *fields, size_t n, bool more)
{
    struct h2_stream *s = h2_of(r);
    if (unlikely(h2_is_gone(s)))
        return RESP_GONE;
    if (!s->submitted && h2_head_submit(s, 0, false, r->answer_empty) < 0)
        return no_memory(s);
    for (size_t i = 0; r->te_trailers && !r->answer_empty && i < n; i++) {
        /* RFC 9113 8.2.2, RFC 9110 6.5.1 */
        if (own_field_of(fields[i].name) == OWN_NONE && keep_trailer(s, &fields[i]) < 0)
            return no_memory(s);
    }
    return more ? RESP_SENT : given(s, true);
}

static enum resp_result h2_interim(struct req *r, unsigned status, const struct resp_field *fields, size_t n)
{
    struct h2_stream *s = h2_of(r);
    if (unlikely(h2_is_gone(s)))
        return RESP_GONE;
    (void)!h2_interim_submit(s, status, fields, n); /* a hint: without memory it is left out */
    h2_wake(s->h);
    return RESP_SENT;
}

static void h2_abort(struct req *r)
{
    h2_break_off(h2_of(r), REQ_END_ABORTED, NGHTTP2_INTERNAL_ERROR);
}

static void h2_abandon(struct req *r)
{
    h2_cut(h2_of(r), REQ_END_CLIENT_GONE, NGHTTP2_CANCEL);
}

static void h2_flush(struct req *r)
{
    struct h2_conn *h = h2_of(r)->h;
    h2_send(h);
    conn_flush(h->conn);
}

static void h2_own_lent(struct req *r)
{
    struct h2_stream *s = h2_of(r);
    if (s->lent.n && h2_own(s) < 0)
        h2_drop_output(s);
}

const struct resp_ops h2_resp_ops = {
    .name = "http/2",
    .start = h2_start_answer,
    .withdraw = h2_withdraw,
    .body = h2_body,
    .file = h2_file,
    .trailers = h2_trailers,
    .interim = h2_interim,
    .upgrade = h2_upgrade,
    .abort = h2_abort,
    .flush = h2_flush,
    .own = h2_own_lent,
    .want_body = h2_want_body,
    .took_body = h2_took_body,
    .abandon = h2_abandon,
};
