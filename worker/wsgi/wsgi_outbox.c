/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_outbox.c: the pool's lock, and what its threads have for the loop: pieces of answers and notes, and when the loop is
 * woken for them. Nothing here needs the GIL. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/descriptors.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "worker/wsgi/wsgi_pool_priv.h"

/* So many answers leave together, those of so much time. */
#define TOGETHER 8
#define TOGETHER_NS 300000

void wsgi_pool_lock(struct wsgi_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
}

void wsgi_pool_unlock(struct wsgi_pool *pool)
{
    pthread_mutex_unlock(&pool->lock);
}

void wsgi_pool_wait(struct wsgi_pool *pool, pthread_cond_t *changed)
{
    pthread_cond_wait(changed, &pool->lock);
}

/* --- the threads --- */

void wsgi_pool_wake(struct wsgi_pool *pool)
{
    uint64_t one = 1;
    /* When the counter is full the descriptor is readable anyway. */
    if (write(pool->fd, &one, sizeof one) < 0 && errno != EAGAIN)
        descriptor_lost("what the threads of WSGI wake the event loop by");
}

/* Others follow: a thread has calls to take. Should the application wait in the next one, or end it late, then a thread
 * that gets the GIL meanwhile tells the loop, or the loop looks by itself. */
static bool may_be_late(const struct wsgi_pool *pool)
{
    return pool->watched && !TAILQ_EMPTY(&pool->queue) && pool->untold < TOGETHER &&
           clock_ns() - pool->untold_since < TOGETHER_NS;
}

bool wsgi_pool_post(struct wsgi_call *c, enum wsgi_haste haste)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    if (!c->posted)
        TAILQ_INSERT_TAIL(&pool->outbox, c, outbox);
    c->posted = true;
    if (pool->told)
        return false;
    if (!pool->untold++)
        pool->untold_since = clock_ns();
    if (haste == POST_FOLLOWED || (haste == POST_SOON && may_be_late(pool)))
        return false;
    return pool->told = true;
}

bool wsgi_outbox_must_tell(struct wsgi_pool *pool)
{
    if (pool->told || !pool->untold)
        return false;
    return pool->told = true;
}

void wsgi_outbox_note(struct wsgi_call *c, enum wsgi_note note)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    wsgi_pool_lock(pool);
    c->notes |= note;
    bool wake = wsgi_pool_post(c, note == NOTE_OVER ? POST_SOON : POST_NOW);
    wsgi_pool_unlock(pool);
    if (wake)
        wsgi_pool_wake(pool);
}

void wsgi_pool_ask_body(struct wsgi_call *c)
{
    wsgi_outbox_note(c, NOTE_WANTS_BODY);
}

void wsgi_pool_fail(struct wsgi_call *c)
{
    wsgi_outbox_note(c, NOTE_FAILED);
}

static void free_parcel(struct wsgi_parcel *p)
{
    free(p->piece.answer);
    free(p);
}

/* --- the loop's thread --- */

/* Takes what the call has for the loop. Lock held. */
static struct wsgi_parcel *take_parcels(struct wsgi_call *c)
{
    struct wsgi_parcel *first = c->parcels;
    c->parcels = NULL;
    c->parcels_end = &c->parcels;
    return first;
}

static void give_parcels(struct wsgi_call *c, struct wsgi_parcel *p)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    size_t sent = 0;
    unsigned lent = 0;
    for (struct wsgi_parcel *next; p; p = next) {
        next = p->next;
        if (pool->ops->give(c, &p->piece) != RESP_LATER)
            sent += p->piece.bytes.n;
        lent += p->lent;
        free_parcel(p);
    }
    wsgi_pool_lock(pool);
    c->out -= sent;
    c->lent -= lent;
    pthread_cond_broadcast(&c->changed);
    wsgi_pool_unlock(pool);
}

static void read_notes(struct wsgi_call *c, struct wsgi_parcel *parcels, unsigned notes)
{
    const struct wsgi_pool_ops *ops = c->wsgi->pool->ops;
    if (parcels)
        give_parcels(c, parcels);
    ops->pump(c);
    if (notes & NOTE_FAILED)
        ops->fail(c);
    if (notes & NOTE_WANTS_BODY)
        ops->feed(c);
    if (notes & NOTE_OVER)
        ops->on_ended(c);
}

static void broadcast_changed(struct wsgi_call *c)
{
    wsgi_pool_lock(c->wsgi->pool);
    pthread_cond_broadcast(&c->changed);
    wsgi_pool_unlock(c->wsgi->pool);
}

/* One at a time: two that come as fast as this take turns anyway. */
void wsgi_pool_wake_reader(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    if (pool->owed && pool->owed != c) {
        broadcast_changed(c);
    } else if (!pool->owed) {
        pool->owed = c;
        event_active(pool->event, EV_READ, 1);
    }
}

static void wake_owed(struct wsgi_pool *pool)
{
    struct wsgi_call *c = pool->owed;
    pool->owed = NULL;
    if (c)
        broadcast_changed(c);
}

void wsgi_outbox_read(struct wsgi_pool *pool)
{
    struct wsgi_call *c;
    wake_owed(pool);
    wsgi_pool_lock(pool);
    while ((c = TAILQ_FIRST(&pool->outbox))) {
        TAILQ_REMOVE(&pool->outbox, c, outbox);
        struct wsgi_parcel *parcels = take_parcels(c);
        unsigned notes = c->notes;
        c->notes = 0;
        c->posted = false;
        wsgi_pool_unlock(pool);
        read_notes(c, parcels, notes);
        wsgi_pool_lock(pool);
    }
    pool->told = false;
    pool->untold = 0;
    wsgi_pool_unlock(pool);
    pool->ops->on_turn(pool->wsgi);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    wsgi_outbox_read(arg);
}

/* --- life --- */

int wsgi_outbox_open(struct wsgi_pool *pool, struct event_base *base)
{
    TAILQ_INIT(&pool->outbox);
    pthread_mutex_init(&pool->lock, NULL);
    pool->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    forked_own(pool->fd);
    if (pool->fd >= 0)
        pool->event = event_new(base, pool->fd, EV_READ | EV_PERSIST | EV_ET, on_event, pool);
    return pool->event ? event_add(pool->event, NULL) : -1;
}

void wsgi_outbox_close(struct wsgi_pool *pool)
{
    if (pool->event)
        event_free(pool->event);
    fd_close(&pool->fd);
}
