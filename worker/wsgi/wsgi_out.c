/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_out.c: see wsgi_out.h. HTTP's own rules are resp.c's. */
#include "worker/wsgi/wsgi_out.h"

#include <Python.h>
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/likely.h"
#include "common/log.h"
#include "worker/app/app_report.h"
#include "worker/net/conn.h"
#include "worker/python/loop.h"
#include "worker/wsgi/wsgi_flusher.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_socket.h"
#include "worker/wsgi/wsgi_state.h"

/* Pieces that come after less time leave together. */
#define FAST_NS 50000

static void complain(struct wsgi_call *c, enum resp_result result)
{
    char line[APP_DESCRIPTION];
    const char *what = result == RESP_TOO_LONG    ? "is longer than its Content-Length"
                       : result == RESP_TOO_SHORT ? "is shorter than its Content-Length"
                                                  : "could not be sent: out of memory";
    wsgi_call_describe(c, line, sizeof line);
    log_error("the response of a WSGI application %s: %s", what, line);
}

static enum resp_result give_piece(struct wsgi_call *c, const struct wsgi_piece *piece)
{
    if (unlikely(wsgi_socket_is_taken(c)))
        return RESP_GONE;
    const struct wsgi_answer *a = piece->answer;
    if (a && c->req) {
        struct resp_head head = {
            .status = a->status, .reason = a->reason, .fields = a->fields, .n_fields = a->n, .dynamic = true
        };
        uint64_t begun = atomic_load_explicit(&c->taken_ns, memory_order_relaxed);
        if (begun) /* of log.slow_request and the queue's histogram */
            c->req->begun_ns = begun;
        enum resp_result result = resp_start(c->req, &head);
        if (resp_failed(result))
            return result;
    }
    if (!c->req)
        return RESP_GONE;
    return piece->fd >= 0 ? resp_file(c->req, piece->fd, piece->at, piece->n, !piece->last)
                          : resp_body(c->req, piece->bytes, !piece->last);
}

/* The file was sent, or will not be. */
static void file_done(struct wsgi_call *c)
{
    size_t n = c->file.n;
    if (c->file.fd < 0)
        return;
    wsgi_spool_drop(c->wsgi, &c->file);
    if (n)
        wsgi_pool_unspool(c, n);
}

enum resp_result wsgi_out_give(struct wsgi_call *c, const struct wsgi_piece *piece)
{
    if (piece->fd >= 0)
        c->file = (struct wsgi_spool){ .fd = piece->fd, .n = piece->spooled ? piece->n : 0 };
    enum resp_result result = give_piece(c, piece);
    if (result == RESP_LATER)
        c->late += piece->bytes.n;
    else
        file_done(c);
    if (result > RESP_GONE)
        complain(c, result);
    return result;
}

size_t wsgi_out_drained(struct wsgi_call *c)
{
    size_t late = c->late;
    c->late = 0;
    file_done(c);
    return late;
}

/* What comes after that which was given. False: nothing now. */
static bool take_next(struct wsgi_call *c, struct wsgi_piece *piece)
{
    bool some = false;
    if (!c->req || c->late || c->file.fd >= 0)
        return false;
    wsgi_pool_lock(c->wsgi->pool);
    if (!c->parcels && !c->spooling && c->spool.n) {
        *piece = (struct wsgi_piece){ .fd = c->spool.fd, .n = c->spool.n, .spooled = true };
        c->spool = (struct wsgi_spool){ .fd = -1 };
        some = true;
    } else if (!c->parcels && !c->spooling && c->last_owed) {
        *piece = (struct wsgi_piece){ .fd = -1, .last = true };
        c->last_owed = false;
        some = true;
    }
    wsgi_pool_unlock(c->wsgi->pool);
    return some;
}

void wsgi_out_pump(struct wsgi_call *c)
{
    struct wsgi_piece piece;
    wsgi_call_ref(c);
    while (take_next(c, &piece))
        (void)wsgi_out_give(c, &piece);
    wsgi_call_unref(c);
}

void wsgi_out_fail(struct wsgi_call *c)
{
    if (wsgi_socket_is_taken(c) || !c->req)
        return;
    if (c->req->state <= REQ_RUNNING)
        resp_error(c->req, 500);
    else
        resp_abort(c->req);
}

/* The client has not taken all that it was given. */
static bool client_lags(const struct wsgi_call *c)
{
    return c->late || c->file.fd >= 0 || c->spool.n;
}

/* The loop does not turn while the application runs: gives the socket what it takes now, without waiting. Not of HTTP/2,
 * where other requests' callbacks would come inside of this one. */
static void push_out(struct wsgi_call *c)
{
    struct conn *conn = c->req ? c->req->conn : NULL;
    if (conn && client_lags(c) && !conn->shared && conn_unsent(conn))
        (void)conn_push(conn, 0); /* on_drained comes inside of it, if it does */
}

bool wsgi_out_must_wait(const struct wsgi_call *c)
{
    return client_lags(c) && !wsgi_spool_has_room(c->wsgi, c->spooled, 1);
}

/* 0: in the spool; 1: it has to be given at once; -1: exception set. What an iterable gives, and the last piece, may lie in
 * memory for once, since nothing follows until that was sent; what write() gives would have no bound. */
static int spool_inline(struct wsgi_call *c, const struct wsgi_piece *piece)
{
    if (piece->bytes.n && wsgi_spool_add(c->wsgi, &c->spool, piece->bytes) < 0) {
        if ((c->iterator || piece->last) && !c->spool.n) {
            wsgi_spool_complain(c->wsgi, errno);
            return 1;
        }
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    c->spooled += piece->bytes.n;
    c->last_owed |= piece->last;
    return 0;
}

static bool is_gone(const struct wsgi_call *c)
{
    return !c->req || c->req->conn->state != CONN_OPEN; /* on_end may come only with the next turn */
}

/* PEP 3333: no piece may wait for the next one, which may take its time. Those of HTTP/2 leave through a session that other
 * requests use. */
static void flush_piece(struct wsgi_call *c)
{
    uint64_t now = clock_ns(), before = c->given_ns;
    c->given_ns = now;
    if (now - before >= FAST_NS || c->req->conn->shared || !wsgi_flusher_watch(c->wsgi->flusher, c))
        resp_flush(c->req);
}

enum wsgi_sent wsgi_out_now(struct wsgi_call *c, struct wsgi_piece *piece)
{
    pyloop_touched(c->wsgi->env.loop);
    push_out(c);
    if (piece->fd < 0 && client_lags(c)) {
        if (is_gone(c)) { /* nor does what it has not read leave any more */
            free(piece->answer);
            return WSGI_GONE;
        }
        int put = spool_inline(c, piece);
        if (put <= 0)
            return put ? WSGI_ERROR : WSGI_SENT;
    }
    enum resp_result result = wsgi_out_give(c, piece);
    free(piece->answer);
    if (result > RESP_LATER)
        return WSGI_GONE;
    if (!piece->last && result == RESP_SENT)
        flush_piece(c);
    return WSGI_SENT;
}

void wsgi_out_end(struct wsgi_call *c, enum req_end why)
{
    conn_keep(c->req->conn, &c->kept, 0);
    wsgi_socket_request_ended(c);
    c->req = NULL;
    c->late = 0;
    file_done(c);
    wsgi_pool_end(c, why != REQ_END_COMPLETE);
}
