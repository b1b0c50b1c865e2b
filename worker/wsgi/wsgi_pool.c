/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_pool.c: see wsgi_pool.h. A thread keeps the GIL from one call to the next while there are calls: handing it over
 * for each would cost more than most applications do. */
#include "worker/wsgi/wsgi_pool.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/fatal.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_pool_priv.h"
#include "worker/wsgi/wsgi_spool.h"
#include "worker/wsgi/wsgi_state.h"

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

/* --- to the loop --- */

void wsgi_pool_wake(struct wsgi_pool *pool)
{
    uint64_t one = 1;
    /* When the counter is full the descriptor is readable anyway. */
    if (write(pool->fd, &one, sizeof one) < 0 && errno != EAGAIN)
        descriptor_lost("what the threads of WSGI wake the event loop by");
}

bool wsgi_pool_post(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    if (c->posted)
        return false;
    bool first = TAILQ_EMPTY(&pool->outbox);
    c->posted = true;
    TAILQ_INSERT_TAIL(&pool->outbox, c, outbox);
    return first;
}

static void post_note(struct wsgi_call *c, enum wsgi_note note)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    bool owed = c->wake_owed; /* do not touch c after unlocking: NOTE_OVER drops the last reference */
    c->wake_owed = false;
    wsgi_pool_lock(pool);
    c->notes |= note;
    bool first = wsgi_pool_post(c);
    wsgi_pool_unlock(pool);
    if (first || owed)
        wsgi_pool_wake(pool);
}

void wsgi_pool_ask_body(struct wsgi_call *c)
{
    post_note(c, NOTE_WANTS_BODY);
}

void wsgi_pool_fail(struct wsgi_call *c)
{
    post_note(c, NOTE_FAILED);
}

bool wsgi_pool_is_loop(const struct wsgi_pool *pool)
{
    return pthread_equal(pthread_self(), pool->wsgi->loop_thread);
}

bool wsgi_pool_is_gone(struct wsgi_call *c)
{
    if (c->is_inline)
        return !c->req;
    wsgi_pool_lock(c->wsgi->pool);
    bool gone = c->gone;
    wsgi_pool_unlock(c->wsgi->pool);
    return gone;
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

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct wsgi_pool *pool = arg;
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
    wsgi_pool_unlock(pool);
    pool->ops->on_turn(pool->wsgi);
}

void wsgi_pool_end(struct wsgi_call *c, bool broken)
{
    if (c->wsgi->pool->owed == c)
        c->wsgi->pool->owed = NULL;
    wsgi_pool_lock(c->wsgi->pool);
    c->gone = true;
    c->broken = broken;
    c->spooled = 0;
    if (!c->spooling)
        wsgi_spool_drop(c->wsgi, &c->spool);
    pthread_cond_broadcast(&c->changed);
    wsgi_pool_unlock(c->wsgi->pool);
}

void wsgi_pool_credit(struct wsgi_call *c, size_t n)
{
    wsgi_pool_lock(c->wsgi->pool);
    c->out -= n;
    pthread_cond_broadcast(&c->changed);
    wsgi_pool_unlock(c->wsgi->pool);
}

void wsgi_pool_stream_ends(struct wsgi_call *c)
{
    struct wsgi *wsgi = c->wsgi;
    if (!c->streams)
        return;
    c->streams = false;
    wsgi->streams--;
    if (!TAILQ_EMPTY(&wsgi->waiting))
        wsgi_pool_wake(wsgi->pool);
}

void wsgi_pool_unspool(struct wsgi_call *c, size_t n)
{
    wsgi_pool_lock(c->wsgi->pool);
    if (!c->gone)
        c->spooled -= n;
    pthread_cond_broadcast(&c->changed);
    wsgi_pool_unlock(c->wsgi->pool);
}

/* --- the threads --- */

/* Lock held. One thread is woken at a time; it wakes the next if there is more to do. */
static void wake_one(struct wsgi_pool *pool)
{
    if (!pool->idle || pool->waking || TAILQ_EMPTY(&pool->queue))
        return;
    pool->waking = true;
    pthread_cond_signal(&pool->work);
}

/* The next call; waits for one, without the GIL. */
static struct wsgi_call *next_call(struct wsgi_pool *pool, PyThreadState *state, bool *has_gil)
{
    wsgi_pool_lock(pool);
    if (TAILQ_EMPTY(&pool->queue) && *has_gil) {
        wsgi_pool_unlock(pool);
        PyEval_SaveThread();
        *has_gil = false;
        wsgi_pool_lock(pool);
    }
    while (TAILQ_EMPTY(&pool->queue)) {
        pool->idle++;
        wsgi_pool_wait(pool, &pool->work);
        pool->idle--;
        pool->waking = false;
    }
    struct wsgi_call *c = TAILQ_FIRST(&pool->queue);
    TAILQ_REMOVE(&pool->queue, c, queue);
    c->queued = false;
    wake_one(pool);
    wsgi_pool_unlock(pool);
    if (!*has_gil)
        PyEval_RestoreThread(state);
    *has_gil = true;
    return c;
}

static void *thread_main(void *arg)
{
    struct wsgi_pool *pool = arg;
    PyThreadState *state = PyThreadState_New(pool->interp);
    bool has_gil = false;
    while (state) {
        struct wsgi_call *c = next_call(pool, state, &has_gil);
        fatal_unless(pool->ops->run(c));
        post_note(c, NOTE_OVER); /* and hands over the reference */
    }
    wsgi_pool_lock(pool);
    pool->n_threads--; /* out of memory */
    wsgi_pool_unlock(pool);
    return NULL;
}

/* It blocks no signal: processes that the application starts here inherit the mask and must receive SIGTERM. The kernel
 * gives a signal of the process to its first thread, the loop's, as long as that one takes it. Lock held. */
static int add_thread(struct wsgi_pool *pool)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_main, pool))
        return -1;
    pthread_detach(thread);
    pool->n_threads++;
    return 0;
}

int wsgi_pool_push(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    int result = 0;
    wsgi_pool_lock(pool);
    if (!pool->idle && pool->n_threads < pool->most && add_thread(pool) < 0 && !pool->n_threads)
        result = -1;
    if (!result) {
        c->queued = true;
        TAILQ_INSERT_TAIL(&pool->queue, c, queue);
        wake_one(pool);
    }
    wsgi_pool_unlock(pool);
    return result;
}

bool wsgi_pool_take_back(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    wsgi_pool_lock(pool);
    bool queued = c->queued;
    if (queued)
        TAILQ_REMOVE(&pool->queue, c, queue);
    c->queued = false;
    wsgi_pool_unlock(pool);
    return queued;
}

/* --- life --- */

struct wsgi_pool *wsgi_pool_new(struct wsgi *wsgi, struct event_base *base, PyInterpreterState *interp, unsigned most,
                                const struct wsgi_pool_ops *ops)
{
    struct wsgi_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    *pool = (struct wsgi_pool){ .wsgi = wsgi, .ops = ops, .interp = interp, .most = most };
    pool->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    TAILQ_INIT(&pool->queue);
    TAILQ_INIT(&pool->outbox);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    forked_own(pool->fd);
    if (pool->fd >= 0)
        pool->event = event_new(base, pool->fd, EV_READ | EV_PERSIST | EV_ET, on_event, pool);
    if (pool->event && !event_add(pool->event, NULL))
        return pool;
    wsgi_pool_free(pool);
    return NULL;
}

void wsgi_pool_free(struct wsgi_pool *pool)
{
    if (!pool)
        return;
    if (pool->event)
        event_free(pool->event);
    fd_close(&pool->fd);
    free(pool);
}
