/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_run.c: the body of an answer on its way through a codec. Large bodies go through in pieces, one piece a loop
 * turn for all answers of the worker, and not while the client is slow; what the application sends with more to follow
 * can be read by the client at once.
 *
 * Each call to the protocol below may end the request, and forget it: then e->req is NULL. */
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/coding/compress_priv.h"
#include "common/timers.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"

/* --- life --- */

void compress_enter(struct encoding *e)
{
    e->busy++;
}

void compress_leave(struct encoding *e)
{
    if (!--e->busy && !e->req)
        compress_free(e);
}

bool compress_lives(const struct encoding *e)
{
    return e->req && e->req->state < REQ_ENDED;
}

void compress_drop(struct resp_filtered *filtered)
{
    struct encoding *e = (struct encoding *)filtered;
    e->req = NULL;
    if (!e->busy)
        compress_free(e);
}

void compress_free(struct encoding *e)
{
    if (e->queued)
        TAILQ_REMOVE(&e->z->queue, e, link);
    compress_give_context(e);
    buf_release(&e->kept);
    free(e);
}

/* --- through the codec --- */

/* They lie in a buffer that all answers share: they cannot be lent. */
enum resp_result compress_give(struct encoding *e, size_t n, bool more)
{
    struct req *r = e->req;
    bool lends = r->lends;
    r->lends = false;
    enum resp_result result = e->below->body(r, (struct span){ e->z->out, n }, more);
    if (compress_lives(e))
        r->lends = lends;
    e->full |= result == RESP_LATER; /* until its on_drained */
    return result;
}

enum resp_result compress_fail(struct encoding *e)
{
    resp_abort(e->req);
    return RESP_NO_MEMORY;
}

enum resp_result compress_run(struct encoding *e, struct span bytes, enum codec_op op)
{
    enum codec_result did;
    do {
        size_t n = 0;
        did = e->choice->codec->run(e->context, &bytes, op, e->z->out, sizeof(e->z->out), &n);
        if (did == CODEC_FAILED)
            return compress_fail(e); /* only lack of memory makes a codec fail */
        bool last = did == CODEC_DONE && op == CODEC_FINISH;
        if (last) {
            e->stage = ENCODING_FINISHED;
            compress_give_context(e);
        }
        if (n || last) {
            enum resp_result result = compress_give(e, n, !last);
            if (resp_failed(result) || !compress_lives(e))
                return result;
        }
    } while (did == CODEC_MORE);
    return e->full ? RESP_LATER : RESP_SENT;
}

enum codec_op compress_op(const struct encoding *e)
{
    return e->more ? CODEC_FLUSH : CODEC_FINISH;
}

bool compress_has_left(const struct encoding *e)
{
    return e->left.n || e->file_left;
}

/* The next piece of a file; n = 0: it is shorter than it was. */
static struct span read_piece(struct encoding *e)
{
    size_t n = e->file_left < COMPRESS_PIECE ? e->file_left : COMPRESS_PIECE;
    ssize_t got = pread(e->fd, e->z->in, n, e->file_at);
    if (got < 0)
        got = 0;
    e->file_at += got;
    e->file_left -= (size_t)got;
    return (struct span){ e->z->in, (size_t)got };
}

static struct span take_piece(struct encoding *e)
{
    struct span piece = { e->left.p, e->left.n < COMPRESS_PIECE ? e->left.n : COMPRESS_PIECE };
    e->left.p += piece.n;
    e->left.n -= piece.n;
    return piece;
}

static enum resp_result step(struct encoding *e)
{
    struct span piece = e->left.n ? take_piece(e) : read_piece(e);
    if (!piece.n) {
        resp_abort(e->req);
        return RESP_TOO_SHORT;
    }
    enum resp_result result = compress_run(e, piece, compress_has_left(e) ? CODEC_TAKE : compress_op(e));
    if (!compress_has_left(e))
        buf_release(&e->kept);
    return result;
}

enum resp_result compress_finish_left(struct encoding *e)
{
    enum resp_result result = RESP_SENT;
    while (compress_has_left(e) && !resp_failed(result) && compress_lives(e))
        result = step(e);
    return result;
}

/* --- turn by turn --- */

void compress_queue(struct encoding *e)
{
    static const struct timeval now = { 0, 0 };
    if (e->queued || e->full)
        return;
    e->queued = true;
    TAILQ_INSERT_TAIL(&e->z->queue, e, link);
    if (!evtimer_pending(&e->z->turn, NULL))
        timer_add(&e->z->turn, &now);
}

/* What was left is done, and the client has room. */
static void tell_handler(struct encoding *e)
{
    struct req *r = e->req;
    bool owed = e->owed && r->state <= REQ_STARTED;
    e->owed = false;
    if (owed)
        r->handler->ops->on_drained(r);
}

/* One piece of the first answer in the queue: the loop sees to everything else between two pieces. */
void compress_on_turn(int fd, short what, void *arg)
{
    static const struct timeval now = { 0, 0 };
    struct compressor *z = arg;
    struct encoding *e = TAILQ_FIRST(&z->queue);
    if (!e)
        return;
    TAILQ_REMOVE(&z->queue, e, link);
    e->queued = false;
    if (TAILQ_FIRST(&z->queue))
        timer_add(&z->turn, &now);
    compress_enter(e);
    enum resp_result result = compress_lives(e) && compress_has_left(e) ? step(e) : RESP_GONE;
    if (!resp_failed(result) && compress_lives(e)) {
        if (compress_has_left(e))
            compress_queue(e);
        else if (!e->full)
            tell_handler(e);
    }
    compress_leave(e);
}

void compress_drained(struct req *r)
{
    struct encoding *e = encoding_of(r);
    e->full = false;
    if (compress_has_left(e)) {
        compress_queue(e);
        return;
    }
    e->owed = false;
    r->handler->ops->on_drained(r);
}
