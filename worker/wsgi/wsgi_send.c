/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_send.c: pieces of an answer on their way from a thread of the pool to the loop (wsgi_pool_send()): given at once
 * while the client keeps up, appended to a file when it does not. The thread waits only where there is no room
 * for more, and for bytes that are too many to be copied until the loop has taken them. */
#include <errno.h>
#include <stdlib.h>

#include "common/fdutil.h"
#include "common/likely.h"
#include "worker/wsgi/wsgi_pool_priv.h"

/* From here on bytes are not copied: their owner waits until they are sent or taken. */
#define LEND_MIN (32u << 10)

/* NULL: exception set; the piece's answer and descriptor are gone. */
static struct wsgi_parcel *parcel_new(const struct wsgi_piece *piece, bool may_wait)
{
    bool lent = may_wait && piece->bytes.n >= LEND_MIN;
    size_t n = lent ? 0 : piece->bytes.n;
    struct wsgi_parcel *p = malloc(sizeof *p + n);
    if (!p) {
        int fd = piece->fd;
        fd_close(&fd);
        free(piece->answer);
        PyErr_NoMemory();
        return NULL;
    }
    *p = (struct wsgi_parcel){ .piece = *piece, .lent = lent };
    if (!lent) {
        if (n)
            memcpy(p->bytes, piece->bytes.p, n);
        p->piece.bytes.p = p->bytes;
    }
    return p;
}

static void wait_for_loan(struct wsgi_pool *pool, struct wsgi_call *c)
{
    Py_BEGIN_ALLOW_THREADS wsgi_pool_lock(pool);
    while (c->lent)
        wsgi_pool_wait(pool, &c->changed);
    wsgi_pool_unlock(pool);
    Py_END_ALLOW_THREADS
}

enum place {
    PLACE_NONE,
    PLACE_LOOP, /* the loop takes it now */
    PLACE_SPOOL, /* after others that wait for the client; c->spooling is set */
};

/* Where n bytes go. Lock held. */
static enum place find_place(struct wsgi_call *c, size_t n, bool may_spool)
{
    if (c->gone)
        return PLACE_LOOP;
    if (c->spooling) /* by another thread of the application: one after the other */
        return PLACE_NONE;
    if (!c->spooled && c->out < WSGI_BODY_MARK)
        return PLACE_LOOP;
    if (!may_spool || !wsgi_spool_has_room(c->wsgi, c->spooled, n))
        return PLACE_NONE;
    c->spooling = true;
    return PLACE_SPOOL;
}

/* Waits for the client while there is none. */
static enum place wait_for_place(struct wsgi_call *c, size_t n, bool may_spool)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    wsgi_pool_lock(pool);
    enum place place = find_place(c, n, may_spool);
    wsgi_pool_unlock(pool);
    if (likely(place != PLACE_NONE))
        return place;
    if (wsgi_pool_is_loop(pool)) /* a finalizer of the application: it must not wait */
        return PLACE_LOOP;
    Py_BEGIN_ALLOW_THREADS wsgi_pool_lock(pool);
    while (!(place = find_place(c, n, may_spool)))
        wsgi_pool_wait(pool, &c->changed);
    wsgi_pool_unlock(pool);
    Py_END_ALLOW_THREADS return place;
}

/* Nothing is on its way of which the end would make the loop look at the spool. Lock held. */
static bool must_be_woken(const struct wsgi_call *c)
{
    return !c->out && c->spooled == c->spool.n;
}

/* After PLACE_SPOOL. False: the file cannot have them. */
static bool spool_bytes(struct wsgi_call *c, struct span bytes)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    bool first = false, added;
    Py_BEGIN_ALLOW_THREADS added = wsgi_spool_add(c->wsgi, &c->spool, bytes) == 0;
    if (!added)
        wsgi_spool_complain(c->wsgi, errno);
    wsgi_pool_lock(pool);
    c->spooling = false;
    if (c->gone) {
        wsgi_spool_drop(c->wsgi, &c->spool);
    } else {
        c->spooled += added ? bytes.n : 0;
        first = must_be_woken(c) && wsgi_pool_post(c, POST_NOW);
    }
    pthread_cond_broadcast(&c->changed);
    wsgi_pool_unlock(pool);
    Py_END_ALLOW_THREADS if (first) wsgi_pool_wake(pool);
    return added;
}

/* The answer ends; true: after what is in the spool. */
static bool end_after_spool(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    wsgi_pool_lock(pool);
    bool spooled = c->spooled && !c->gone, first = false;
    c->last_owed |= spooled;
    if (spooled && must_be_woken(c))
        first = wsgi_pool_post(c, POST_NOW);
    wsgi_pool_unlock(pool);
    if (first)
        wsgi_pool_wake(pool);
    return spooled;
}

static enum wsgi_sent result_of(struct wsgi_call *c, bool last)
{
    return !last && wsgi_pool_is_gone(c) ? WSGI_GONE : WSGI_SENT;
}

/* True: it is in the spool. */
static bool spool_from_thread(struct wsgi_call *c, const struct wsgi_piece *piece)
{
    bool may_spool = true;
    while (wait_for_place(c, piece->bytes.n, may_spool) == PLACE_SPOOL) {
        if (spool_bytes(c, piece->bytes))
            return true;
        may_spool = false; /* then it waits */
    }
    return false;
}

enum wsgi_sent wsgi_pool_send(struct wsgi_call *c, struct wsgi_piece *piece)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    bool last = piece->last, may_wait = !wsgi_pool_is_loop(pool);
    if (piece->bytes.n && !piece->answer && spool_from_thread(c, piece)) {
        if (!last)
            return result_of(c, false);
        piece->bytes.n = 0;
    }
    if (last && !piece->answer && !piece->bytes.n && piece->fd < 0 && end_after_spool(c))
        return WSGI_SENT;
    struct wsgi_parcel *p = parcel_new(piece, may_wait);
    if (!p)
        return WSGI_ERROR;
    wsgi_pool_lock(pool);
    *c->parcels_end = p;
    c->parcels_end = &p->next;
    c->lent += p->lent;
    c->out += piece->bytes.n;
    bool wait = c->lent, over = last && !wait && c->ends_at_once; /* NOTE_OVER follows */
    bool first = wsgi_pool_post(c, over ? POST_FOLLOWED : POST_NOW);
    wsgi_pool_unlock(pool);
    if (first)
        wsgi_pool_wake(pool);
    if (wait && may_wait)
        wait_for_loan(pool, c);
    return result_of(c, last);
}
