/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_out.c: see wsgi_out.h. HTTP's own rules are resp.c's. */
#include "worker/wsgi/wsgi_out.h"

#include <Python.h>
#include <stdlib.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "worker/app/app_report.h"
#include "worker/net/conn.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_state.h"

static void complain(struct wsgi_call *c, enum resp_result result)
{
    char line[APP_DESCRIPTION];
    const char *what = result == RESP_TOO_LONG    ? "is longer than its Content-Length"
                       : result == RESP_TOO_SHORT ? "is shorter than its Content-Length"
                                                  : "could not be sent: out of memory";
    wsgi_call_describe(c, line, sizeof line);
    log_error("the response of a WSGI application %s: %s", what, line);
}

static enum resp_result give(struct wsgi_call *c, const struct wsgi_piece *piece)
{
    const struct wsgi_answer *a = piece->answer;
    if (a && c->req) {
        struct resp_head head = { .status = a->status, .fields = a->fields, .n_fields = a->n, .dynamic = true };
        enum resp_result result = resp_start(c->req, &head);
        if (result != RESP_SENT && result != RESP_LATER)
            return result;
    }
    if (!c->req)
        return RESP_GONE;
    return piece->fd >= 0 ? resp_file(c->req, piece->fd, piece->at, piece->n, !piece->last)
                          : resp_body(c->req, piece->bytes, !piece->last);
}

enum resp_result wsgi_out_give(struct wsgi_call *c, const struct wsgi_piece *piece)
{
    if (piece->fd >= 0)
        c->file_fd = piece->fd;
    enum resp_result result = give(c, piece);
    if (result != RESP_LATER)
        fd_close(&c->file_fd);
    if (result > RESP_GONE)
        complain(c, result);
    return result;
}

void wsgi_out_fail(struct wsgi_call *c)
{
    if (!c->req)
        return;
    if (c->req->state <= REQ_RUNNING)
        resp_error(c->req, 500);
    else
        resp_abort(c->req);
}

enum wsgi_sent wsgi_out_now(struct wsgi_call *c, struct wsgi_piece *piece)
{
    enum resp_result result = wsgi_out_give(c, piece);
    free(piece->answer);
    if (result > RESP_LATER)
        return WSGI_GONE;
    if (piece->last)
        return WSGI_SENT;
    if (result == RESP_LATER) {
        c->late = piece->fd >= 0 ? piece->n : piece->bytes.n;
        return WSGI_LATER;
    }
    /* PEP 3333: no piece may wait for the next one, which may take its time. */
    resp_flush(c->req);
    return WSGI_SENT;
}

enum wsgi_sent wsgi_out_push(struct wsgi_call *c)
{
    if (c->req && c->late && conn_unsent(c->req->conn))
        (void)conn_push(c->req->conn, 0);
    if (!c->req || c->req->conn->state != CONN_OPEN) /* on_end may come only with the next turn */
        return WSGI_GONE;
    return c->late ? WSGI_LATER : WSGI_SENT;
}

void wsgi_out_end(struct wsgi_call *c, enum req_end why)
{
    conn_keep(c->req->conn, &c->kept, 0);
    c->req = NULL;
    c->late = 0;
    fd_close(&c->file_fd);
    wsgi_pool_end(c, why != REQ_END_COMPLETE);
}
