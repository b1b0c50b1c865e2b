/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_out.c: answers of HTTP/1 on the wire: head, framing, body, file, trailers. What a handler may do was checked by
 * resp.c; here it is only put into bytes. The head waits for the first body call, so that both leave in one write. */
#include <assert.h>
#include <stdio.h>

#include "common/likely.h"
#include "conf/conf.h"
#include "worker/http1/h1_head_out.h"
#include "worker/http1/h1_priv.h"
#include "worker/http/own_fields.h"

static char *put_chunk_size(char *to, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    unsigned bits = 4;
    while (bits < 64 && n >> bits)
        bits += 4;
    while (bits) {
        bits -= 4;
        *to++ = digits[(n >> bits) & 15];
    }
    return H1_PUT(to, "\r\n");
}

enum { GATHER_MOST = 4096 };

/* The last piece of the answer was given to the connection, which took it: SENT or LATER. */
static enum resp_result complete(struct h1_req *hr, enum sent written)
{
    struct req *r = &hr->req;
    req_set_state(r, REQ_ANSWERED);
    if (unlikely(written == LATER && !r->answer_unbound))
        return RESP_LATER; /* h1_drained() ends it */
    h1_answered(hr);
    return RESP_SENT;
}

/* Cheaper to copy than to send out of turn. */
static bool is_small(const struct iovec *v, int n)
{
    size_t all = 0;
    for (int i = 0; i < n; i++)
        all += v[i].iov_len;
    return all <= GATHER_MOST;
}

/* Answers to pipelined requests leave together, and small ones to several connections one after the other; pieces of one
 * answer at the end of the turn. */
static enum sent write_out(struct h1_req *hr, const struct iovec *v, int n, bool last)
{
    struct h1_conn *h = hr->h;
    bool follows = h->in_loop && h->rest;
    if (last && !follows && !(h->conn->net->gathers && is_small(v, n)))
        return conn_writev(h->conn, v, n);
    h->deferred |= last && follows;
    return conn_writev_deferred(h->conn, v, n);
}

/* While a file is being sent, what follows waits for its end. */
static enum resp_result after_file(struct h1_req *hr, struct span bytes, bool last)
{
    char size[24];
    bool chunked = hr->framing == H1_CHUNKED;
    if (chunked && bytes.n && buf_add(&hr->tail, size, (size_t)(put_chunk_size(size, bytes.n) - size)) < 0)
        goto no_memory;
    if (buf_add(&hr->tail, bytes.p, bytes.n) < 0 || (chunked && bytes.n && buf_add(&hr->tail, "\r\n", 2) < 0) ||
        (chunked && last && buf_add(&hr->tail, "0\r\n\r\n", 5) < 0))
        goto no_memory;
    hr->req.sent_body += bytes.n;
    hr->file_last |= last;
    if (last)
        req_set_state(&hr->req, REQ_ANSWERED);
    return RESP_LATER;
no_memory:
    h1_cut(hr, REQ_END_ABORTED);
    return RESP_NO_MEMORY;
}

/* The usual answer: head and a small body, put together where the head is. */
static enum sent write_small(struct h1_req *hr, struct span bytes, bool last)
{
    struct h1_shared *sh = h1_shared(hr->h);
    bool chunked = hr->framing == H1_CHUNKED;
    char *w = sh->out + sh->head_len;
    if (chunked && bytes.n)
        w = put_chunk_size(w, bytes.n);
    if (bytes.n)
        w = h1_put(w, bytes.p, bytes.n);
    if (chunked && bytes.n)
        w = H1_PUT(w, "\r\n");
    if (chunked && last)
        w = H1_PUT(w, "0\r\n\r\n");
    sh->head_owner = NULL;
    return write_out(hr, &(struct iovec){ sh->out, (size_t)(w - sh->out) }, 1, last);
}

static int add_iov(struct iovec *v, int n, const void *p, size_t len)
{
    if (len)
        v[n++] = (struct iovec){ (void *)(uintptr_t)p, len };
    return n;
}

static enum sent write_pieces(struct h1_req *hr, struct span head, struct span bytes, bool last)
{
    struct iovec v[4];
    char size[24];
    bool chunked = hr->framing == H1_CHUNKED;
    int n = add_iov(v, 0, head.p, head.n);
    if (chunked && bytes.n)
        n = add_iov(v, n, size, (size_t)(put_chunk_size(size, bytes.n) - size));
    int body_at = n;
    n = add_iov(v, n, bytes.p, bytes.n);
    if (chunked && last)
        n = bytes.n ? add_iov(v, n, "\r\n0\r\n\r\n", 7) : add_iov(v, n, "0\r\n\r\n", 5);
    else if (chunked && bytes.n)
        n = add_iov(v, n, "\r\n", 2);
    if (bytes.n >= RESP_LEND_MIN && hr->req.lends)
        return conn_writev_lent(hr->h->conn, v, n, body_at);
    if (n)
        return write_out(hr, v, n, last);
    if (last)
        conn_flush(hr->h->conn);
    if (hr->h->conn->state != CONN_OPEN)
        return GONE;
    return conn_unsent(hr->h->conn) > CONN_HIGH_MARK ? LATER : SENT;
}

static enum resp_result h1_body(struct req *r, struct span bytes, bool more)
{
    struct h1_req *hr = h1_of(r);
    struct h1_shared *sh = h1_shared(hr->h);
    bool last = !more && !r->answer_trailers;
    struct span head = { NULL, 0 };
    enum sent written;
    if (unlikely(r->conn->state != CONN_OPEN))
        return RESP_GONE;
    if (unlikely(hr->file_going))
        return after_file(hr, bytes, last);
    if (hr->framing == H1_UNDECIDED)
        head = h1_head_finish(hr, bytes.n, !more);
    if (r->answer_empty)
        bytes.n = 0;
    r->sent_body += bytes.n;
    if (likely(sh->head_owner == hr && bytes.n < H1_COPY_MAX)) {
        written = write_small(hr, bytes, last);
    } else {
        written = write_pieces(hr, head, bytes, last);
        if (sh->head_owner == hr)
            sh->head_owner = NULL;
        if (hr->head.p)
            buf_release(&hr->head);
    }
    if (unlikely(written == GONE))
        return RESP_GONE;
    return last ? complete(hr, written) : resp_result_of(written);
}

static enum resp_result h1_start(struct req *r, const struct resp_head *head)
{
    struct h1_req *hr = h1_of(r);
    if (unlikely(r->conn->state != CONN_OPEN))
        return RESP_GONE;
    if (likely(h1_head_start(hr, head) == 0))
        return RESP_SENT;
    h1_fail(hr, 503, REQ_END_ABORTED); /* its head is small enough for the shared buffer */
    return RESP_NO_MEMORY;
}

static void h1_withdraw(struct req *r)
{
    struct h1_req *hr = h1_of(r);
    struct h1_shared *sh = h1_shared(hr->h);
    if (sh->head_owner == hr)
        sh->head_owner = NULL;
    buf_release(&hr->head);
    hr->has_date = hr->has_server = hr->has_length = false;
}

static enum sent write_tail(struct h1_req *hr, bool last)
{
    struct span tail = buf_span(&hr->tail);
    enum sent written = SENT;
    if (tail.n)
        written = write_out(hr, &(struct iovec){ (void *)(uintptr_t)tail.p, tail.n }, 1, last);
    buf_release(&hr->tail);
    return written;
}

static enum resp_result h1_file(struct req *r, int fd, off_t offset, size_t count, bool more)
{
    struct h1_req *hr = h1_of(r);
    struct conn *c = r->conn;
    bool last = !more && !r->answer_trailers;
    char size[24];
    if (unlikely(c->state != CONN_OPEN))
        return RESP_GONE;
    assert(!hr->file_going);
    struct span head = { NULL, 0 };
    if (hr->framing == H1_UNDECIDED)
        head = h1_head_finish(hr, count, !more);
    bool chunked = hr->framing == H1_CHUNKED;
    struct iovec v[2];
    int n = add_iov(v, 0, head.p, head.n);
    if (chunked)
        n = add_iov(v, n, size, (size_t)(put_chunk_size(size, count) - size));
    if (n && conn_writev_deferred(c, v, n) == GONE)
        return RESP_GONE;
    if (h1_shared(hr->h)->head_owner == hr)
        h1_shared(hr->h)->head_owner = NULL;
    if (chunked && buf_add(&hr->tail, "\r\n0\r\n\r\n", last ? 7 : 2) < 0) {
        h1_cut(hr, REQ_END_ABORTED);
        return RESP_NO_MEMORY;
    }
    r->sent_body += count;
    enum sent written = conn_send_file(c, fd, offset, count);
    if (written == LATER) {
        hr->file_going = true;
        hr->file_last = last;
        if (last)
            req_set_state(r, REQ_ANSWERED);
        return RESP_LATER;
    }
    if (written == SENT)
        written = write_tail(hr, last);
    if (written == GONE && c->file_short) {
        h1_end(hr, REQ_END_ABORTED);
        return RESP_TOO_SHORT;
    }
    if (written == GONE)
        return RESP_GONE;
    return last ? complete(hr, written) : resp_result_of(written);
}

void h1_file_sent(struct h1_req *hr)
{
    struct req *r = &hr->req;
    hr->file_going = false;
    enum sent written = write_tail(hr, hr->file_last);
    if (written == GONE)
        return;
    if (hr->file_last && written == SENT)
        h1_answered(hr);
    else if (!hr->file_last && written == SENT)
        resp_drained(r);
}

/* Of an interim answer or a trailer section: what frames the answer or belongs to the connection is left out (RFC 9110
 * 6.5.1, 8.6). */
static int add_fields(struct buf *to, const struct resp_field *fields, size_t n)
{
    int failed = 0;
    for (size_t i = 0; i < n; i++) {
        const struct resp_field *f = &fields[i];
        if (own_field_of(f->name) == OWN_NONE)
            failed |= buf_add(to, f->name.p, f->name.n) | buf_add(to, ": ", 2) | buf_add(to, f->value.p, f->value.n) |
                      buf_add(to, "\r\n", 2);
    }
    return failed;
}

static enum resp_result h1_trailers(struct req *r, const struct resp_field *fields, size_t n, bool more)
{
    struct h1_req *hr = h1_of(r);
    bool wanted = hr->framing == H1_CHUNKED && r->te_trailers;
    if (unlikely(r->conn->state != CONN_OPEN))
        return RESP_GONE;
    if (hr->framing == H1_UNDECIDED) { /* no body call came before */
        r->answer_trailers = true;
        enum resp_result result = h1_body(r, SPAN(""), true);
        if (result == RESP_GONE)
            return result;
        wanted = hr->framing == H1_CHUNKED && r->te_trailers;
    }
    if (hr->framing == H1_CHUNKED && !hr->last_chunk && buf_add(&hr->tail, "0\r\n", 3) < 0)
        goto no_memory;
    hr->last_chunk = true;
    if (wanted && add_fields(&hr->tail, fields, n) < 0)
        goto no_memory;
    if (more)
        return RESP_SENT;
    if (hr->framing == H1_CHUNKED && buf_add(&hr->tail, "\r\n", 2) < 0)
        goto no_memory;
    if (hr->file_going) {
        hr->file_last = true;
        req_set_state(r, REQ_ANSWERED);
        return RESP_LATER;
    }
    enum sent written = write_tail(hr, true);
    return written == GONE ? RESP_GONE : complete(hr, written);
no_memory:
    h1_cut(hr, REQ_END_ABORTED);
    return RESP_NO_MEMORY;
}

static enum resp_result h1_interim(struct req *r, unsigned status, const struct resp_field *fields, size_t n)
{
    struct buf b = { 0 };
    char line[80];
    int m = snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", status, resp_reason(status));
    int failed = buf_add(&b, line, (size_t)m) | add_fields(&b, fields, n) | buf_add(&b, "\r\n", 2);
    struct span all = buf_span(&b);
    /* Interim answers are hints: without memory they are left out. */
    enum sent written = SENT;
    if (!failed)
        written = conn_writev(r->conn, &(struct iovec){ (void *)(uintptr_t)all.p, all.n }, 1);
    buf_release(&b);
    return resp_result_of(written);
}

void h1_cut(struct h1_req *hr, enum req_end why)
{
    struct h1_conn *h = hr->h;
    struct conn *c = h->conn;
    /* Without a length only a reset tells the client that the answer is not whole. */
    bool reset = hr->framing == H1_UNTIL_CLOSE || hr->file_going;
    if (hr->req.state < REQ_ENDED)
        h1_end(hr, why);
    c->linger = true;
    h->rest = 0;
    if (reset) {
        /* What was given must be seen, or the client takes the request for one that was never answered. */
        conn_flush(c);
        h->state = H1_CLOSING;
        conn_abort(c, true);
    } else {
        h1_close(h);
    }
}

static void h1_abort(struct req *r)
{
    h1_cut(h1_of(r), REQ_END_ABORTED);
}

static void h1_flush(struct req *r)
{
    conn_flush(r->conn);
}

static void h1_own(struct req *r)
{
    if (r->conn->lent.n)
        conn_own(r->conn);
}

static void h1_abandon(struct req *r)
{
    struct h1_conn *h = h1_of(r)->h;
    h1_end(h1_of(r), REQ_END_CLIENT_GONE);
    h->state = H1_CLOSING;
    conn_abort(h->conn, false);
}

const struct resp_ops h1_resp_ops = {
    .name = "http/1.1",
    .start = h1_start,
    .withdraw = h1_withdraw,
    .body = h1_body,
    .file = h1_file,
    .trailers = h1_trailers,
    .interim = h1_interim,
    .upgrade = h1_upgrade,
    .abort = h1_abort,
    .flush = h1_flush,
    .own = h1_own,
    .want_body = h1_want_body,
    .took_body = h1_took_body,
    .abandon = h1_abandon,
};
