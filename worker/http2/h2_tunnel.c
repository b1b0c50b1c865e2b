/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_tunnel.c: a stream that carries another protocol (RFC 8441): a connection inside of it, whose bytes go into DATA
 * frames and come out of them. To that protocol it is a connection like any other. */
#include <errno.h>

#include "worker/http2/h2_priv.h"

/* The connection inside ends before the stream does: transport_data is NULL then. */
static struct h2_stream *of(const struct conn *c)
{
    return c->transport_data;
}

static ssize_t tunnel_read(struct conn *c, void *p, size_t n)
{
    struct h2_stream *s = of(c);
    size_t there = s ? buf_len(&s->req.body) : 0;
    if (there) {
        n = n < there ? n : there;
        memcpy(p, s->req.body.p + s->req.body.start, n);
        buf_take(&s->req.body, n);
        h2_credit(s);
        return (ssize_t)n;
    }
    if (!s || s->in_ended)
        return 0;
    errno = EAGAIN;
    return -1;
}

static ssize_t tunnel_writev(struct conn *c, const struct iovec *v, int n)
{
    struct h2_stream *s = of(c);
    size_t done = 0, pending = s ? buf_len(&s->out) : 0;
    if (!s || h2_is_gone(s)) {
        errno = EPIPE;
        return -1;
    }
    for (int i = 0; i < n && pending < H2_STREAM_HIGH; i++) {
        size_t room = H2_STREAM_HIGH - pending, k = v[i].iov_len < room ? v[i].iov_len : room;
        if (buf_add(&s->out, v[i].iov_base, k) < 0) {
            errno = ENOMEM;
            return -1;
        }
        done += k;
        pending += k;
        if (k < v[i].iov_len)
            break;
    }
    s->later = pending >= H2_STREAM_HIGH;
    h2_resume(s);
    h2_wake(s->h);
    if (done)
        return (ssize_t)done;
    errno = EAGAIN;
    return -1;
}

static void end_output(struct h2_stream *s)
{
    s->out_last = true;
    h2_resume(s);
    h2_wake(s->h);
}

static void tunnel_shutdown(struct conn *c)
{
    if (of(c))
        end_output(of(c));
}

static void tunnel_done(struct conn *c)
{
    struct h2_stream *s = of(c);
    if (!s)
        return;
    s->tunnel = NULL;
    c->transport_data = NULL;
    if (c->end == CONN_END_CLOSED)
        end_output(s);
    else
        h2_cut(s, REQ_END_COMPLETE, NGHTTP2_CANCEL);
    buf_take(&s->req.body, buf_len(&s->req.body));
    h2_credit(s);
}

static const struct transport_ops transport_h2_tunnel = {
    .name = "h2",
    .short_read_drains = true,
    .read = tunnel_read,
    .writev = tunnel_writev,
    .shutdown = tunnel_shutdown,
    .done = tunnel_done,
};

static const struct transport_ops transport_h2_tunnel_secure = {
    .name = "h2 over tls",
    .secure = true,
    .short_read_drains = true,
    .read = tunnel_read,
    .writev = tunnel_writev,
    .shutdown = tunnel_shutdown,
    .done = tunnel_done,
};

void h2_tunnel_lost(struct h2_stream *s)
{
    struct conn *c = s->tunnel;
    s->tunnel = NULL;
    c->transport_data = NULL;
    conn_abort(c, false);
}

/* 200 instead of 101 (RFC 8441 5); Upgrade and Connection are not for HTTP/2. */
enum resp_result h2_upgrade(struct req *r, const struct resp_head *head, struct span protocol,
                            const struct proto_ops *proto, void *proto_data, struct conn **ret_conn)
{
    struct h2_stream *s = h2_of(r);
    struct conn *outer = s->h->conn;
    struct resp_head ok = *head;
    if (h2_is_gone(s) || outer->peer_eof || s->in_ended)
        return RESP_GONE;
    r->status = 200;
    r->answer_empty = false;
    ok.status = 200;
    if (h2_head_keep(s, &ok) < 0)
        return RESP_NO_MEMORY;
    struct conn *c = conn_open_inner(
        outer, outer->transport->secure ? &transport_h2_tunnel_secure : &transport_h2_tunnel, s, proto, proto_data);
    if (!c)
        return RESP_NO_MEMORY;
    s->tunnel = c;
    if (h2_head_submit(s, 0, false, false) < 0) {
        conn_set_proto(c, NULL);
        h2_tunnel_lost(s);
        return RESP_NO_MEMORY;
    }
    *ret_conn = c;
    h2_end(s, REQ_END_COMPLETE);
    h2_wake(s->h);
    c->readable = buf_len(&r->body) > 0;
    if (c->readable)
        conn_replay(c);
    return RESP_SENT;
}
