/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_upgrade.c: a connection leaves HTTP/1 for another protocol (RFC 9110 7.8). */
#include <assert.h>
#include <stdlib.h>

#include "worker/http1/h1_head_out.h"
#include "worker/http1/h1_priv.h"

static enum sent write_head(struct h1_req *hr, struct span protocol)
{
    struct h1_shared *sh = h1_shared(hr->h);
    struct span head = h1_head_finish_upgrade(hr, protocol);
    if (sh->head_owner == hr)
        sh->head_owner = NULL;
    return conn_writev(hr->h->conn, &(struct iovec){ (void *)(uintptr_t)head.p, head.n }, 1);
}

/* The request has ended; the input loop, if it is running, frees h. */
static void leave(struct h1_conn *h)
{
    h1_release(h);
    h->state = H1_LEFT;
    if (!h->in_loop)
        free(h);
}

enum resp_result h1_upgrade(struct req *r, const struct resp_head *head, struct span protocol,
                            const struct proto_ops *proto, void *proto_data, struct conn **ret_conn)
{
    struct h1_req *hr = h1_of(r);
    struct h1_conn *h = hr->h;
    struct conn *c = h->conn;
    bool in_loop = h->in_loop;
    if (c->state != CONN_OPEN || c->peer_eof)
        return RESP_GONE;
    if (h1_head_start(hr, head) < 0)
        return RESP_NO_MEMORY;
    enum sent written = write_head(hr, protocol);
    if (written == GONE)
        return RESP_GONE;
    *ret_conn = c;
    req_set_state(r, REQ_STARTED);
    h1_end(hr, REQ_END_COMPLETE);
    leave(h);
    conn_set_proto(c, proto);
    c->proto_data = proto_data;
    conn_resume(c);
    if (!in_loop && buf_len(&c->in))
        conn_replay(c);
    return resp_result_of(written);
}
