/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_pool.c: see wsgi_pool.h. A thread keeps the GIL from one call to the next while there are calls: handing it over
 * for each would cost more than most applications do. */
#include "worker/wsgi/wsgi_pool.h"

#include <event2/event.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/fatal.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/python/thread_hooks.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_pool_priv.h"
#include "worker/wsgi/wsgi_spool.h"
#include "worker/wsgi/wsgi_state.h"

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

/* --- the loop's thread --- */

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

/* --- the threads ---
 *
 * The one that has the GIL takes one call after the other. The next thread is called when it is needed:
 *  - an application that was seen to wait in its calls has a single thread that stands by: it waits for the GIL, which it
 *    gets as soon as the application waits again, and calls the next one;
 *  - else the loop calls it when no call has been begun for a millisecond.
 * So threads are made and woken as fast as the application blocks them, but those that compute do not contend with each
 * other: that costs more than most requests.
 */

/* How many calls what was seen of the application holds for. */
#define BLOCKING_CALLS 64
/* Python makes a thread give the GIL away after 5 ms (sys.getswitchinterval()). */
#define FORCED_NS 4500000
/* How long a call waits for a thread that is in another one, and an answer for others, at most. */
#define LOOK_US 1000

static int add_thread(struct wsgi_pool *pool);

/* How many threads there may be. Of an application that is not thread-safe, which is to have one, none stands in for
 * another. */
static unsigned most_threads(const struct wsgi_pool *pool)
{
    unsigned spare = pool->most == 1 ? 0 : pool->lost < pool->most ? pool->lost : pool->most;
    return pool->most + spare;
}

/* Lock held. 0, or -1: there is no thread, and none can be made. */
static int call_thread(struct wsgi_pool *pool)
{
    if (pool->standby || TAILQ_EMPTY(&pool->queue))
        return 0;
    pool->standby = true;
    if (pool->idle) {
        pthread_cond_signal(&pool->work);
        return 0;
    }
    if (pool->n_threads < most_threads(pool) && add_thread(pool) == 0)
        return 0;
    pool->standby = false; /* one that becomes free takes the call */
    return pool->n_threads ? 0 : -1;
}

/* The same, if it is needed by now. */
static int call_standby(struct wsgi_pool *pool)
{
    return pool->inside && !pool->blocking ? 0 : call_thread(pool);
}

/* Lock held. A call waits, and there is, or can be made, a thread that has nothing to do: looks again soon. */
static void watch(struct wsgi_pool *pool)
{
    static const struct timeval soon = { .tv_usec = LOOK_US };
    if (pool->watched || TAILQ_EMPTY(&pool->queue) || (!pool->idle && pool->n_threads >= most_threads(pool)))
        return;
    pool->seen = pool->begun;
    pool->watched = timer_add(pool->patience, &soon) == 0;
}

/* Whether calls are begun with, and for what the loop was not told of. */
static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    struct wsgi_pool *pool = arg;
    wsgi_pool_lock(pool);
    bool some = !TAILQ_EMPTY(&pool->outbox);
    if (pool->seen == pool->begun)
        (void)call_thread(pool);
    pool->watched = false;
    watch(pool);
    wsgi_pool_unlock(pool);
    if (some)
        wsgi_outbox_read(pool);
}

/* Lock held, which is released meanwhile. */
static void leave_gil(struct wsgi_pool *pool)
{
    bool tell = wsgi_outbox_must_tell(pool);
    wsgi_pool_unlock(pool);
    if (tell)
        wsgi_pool_wake(pool);
    PyEval_SaveThread();
    wsgi_pool_lock(pool);
}

/* The same. It does not stand by any more. If it got the GIL soon and a call is not over, then that call waits. */
static void take_gil(struct wsgi_pool *pool, PyThreadState *state)
{
    uint64_t from = clock_ns();
    wsgi_pool_unlock(pool);
    PyEval_RestoreThread(state);
    wsgi_pool_lock(pool);
    pool->standby = false;
    if (pool->inside && clock_ns() - from < FORCED_NS)
        pool->blocking = BLOCKING_CALLS;
}

/* Nobody stands by who finds nothing to do; if this is another thread, one more is woken than has to be. */
static void wait_for_work(struct wsgi_pool *pool)
{
    pool->standby = false;
    pool->idle++;
    wsgi_pool_wait(pool, &pool->work);
    pool->idle--;
}

/* Lock held. */
static void begin(struct wsgi_pool *pool, struct wsgi_call *c)
{
    TAILQ_REMOVE(&pool->queue, c, queue);
    c->queued = false;
    c->thread = pthread_self();
    if (pool->wsgi->limit_ms)
        c->begun_ns = clock_ns();
    atomic_store_explicit(&c->taken_ns, clock_ns(), memory_order_relaxed);
    pool->inside++;
    pool->begun++;
    if (pool->blocking)
        pool->blocking--;
}

/* The next call, with the GIL; waits for one without it. */
static struct wsgi_call *next_call(struct wsgi_pool *pool, PyThreadState *state, bool *has_gil)
{
    struct wsgi_call *c;
    bool kept = *has_gil;
    wsgi_pool_lock(pool);
    pool->inside -= kept;
    while (!(c = TAILQ_FIRST(&pool->queue)) || !*has_gil) {
        if (c)
            take_gil(pool, state);
        else if (*has_gil)
            leave_gil(pool);
        else
            wait_for_work(pool);
        *has_gil = c ? true : false;
        kept = false;
    }
    begin(pool, c);
    (void)call_standby(pool);
    bool tell = (!kept || !pool->watched || TAILQ_EMPTY(&pool->queue)) && wsgi_outbox_must_tell(pool);
    wsgi_pool_unlock(pool);
    if (tell)
        wsgi_pool_wake(pool);
    return c;
}

/* For the records of logging and for whoever lists threads: else it would be "Dummy-1". */
static void name_thread(PyThreadState *state, unsigned number)
{
    PyEval_RestoreThread(state);
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *thread = threading ? PyObject_CallMethod(threading, "current_thread", NULL) : NULL;
    PyObject *name = thread ? PyUnicode_FromFormat("wsgi-%u", number) : NULL;
    if (!name || PyObject_SetAttrString(thread, "name", name) < 0)
        PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(thread);
    Py_XDECREF(threading);
    PyEval_SaveThread();
}

/* The call has ended after all, but others stand in for this thread, which is to end. */
static bool was_lost(struct wsgi_pool *pool, struct wsgi_call *c)
{
    wsgi_pool_lock(pool);
    bool lost = c->lost;
    if (lost) {
        pool->lost--;
        pool->inside--;
        pool->n_threads--;
    }
    wsgi_pool_unlock(pool);
    return lost;
}

/* GIL held, which is given back with the state. Should calls wait, the loop finds a thread for them. */
static void leave_pool(struct wsgi_pool *pool, PyThreadState *state)
{
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
    wsgi_pool_lock(pool);
    pool->standby = false;
    (void)call_thread(pool);
    bool tell = wsgi_outbox_must_tell(pool);
    wsgi_pool_unlock(pool);
    if (tell)
        wsgi_pool_wake(pool);
}

static void *thread_main(void *arg)
{
    struct wsgi_pool *pool = arg;
    PyThreadState *state = PyThreadState_New(pool->interp);
    bool has_gil = false, is_new = true;
    if (state)
        name_thread(state, atomic_fetch_add(&pool->named, 1) + 1);
    while (state) {
        struct wsgi_call *c = next_call(pool, state, &has_gil);
        if (is_new)
            thread_follow_hooks();
        is_new = false;
        fatal_unless(pool->ops->run(c));
        bool leaves = was_lost(pool, c);
        wsgi_outbox_note(c, NOTE_OVER); /* and hands over the reference */
        if (leaves) {
            leave_pool(pool, state);
            return NULL;
        }
    }
    wsgi_pool_lock(pool);
    pool->n_threads--; /* out of memory */
    pool->standby = false;
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
    wsgi_pool_lock(pool);
    c->queued = true;
    TAILQ_INSERT_TAIL(&pool->queue, c, queue);
    int result = call_standby(pool);
    if (result < 0) {
        c->queued = false;
        TAILQ_REMOVE(&pool->queue, c, queue);
    }
    watch(pool);
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

bool wsgi_pool_is_queued(struct wsgi_call *c)
{
    wsgi_pool_lock(c->wsgi->pool);
    bool queued = c->queued;
    wsgi_pool_unlock(c->wsgi->pool);
    return queued;
}

uint64_t wsgi_pool_age(struct wsgi_call *c, pthread_t *ret_thread)
{
    wsgi_pool_lock(c->wsgi->pool);
    uint64_t since = c->begun_ns;
    *ret_thread = c->thread;
    wsgi_pool_unlock(c->wsgi->pool);
    return since ? (clock_ns() - since) / 1000000u : 0;
}

void wsgi_pool_lose(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    wsgi_pool_lock(pool);
    c->lost = true;
    pool->lost++;
    (void)call_thread(pool);
    watch(pool);
    wsgi_pool_unlock(pool);
}

static enum interface_room room_of(struct wsgi_pool *pool)
{
    uint64_t now = clock_ns(), patience = pool->wsgi->env.conf->server.timeout;
    if (pool->begun != pool->progress || TAILQ_EMPTY(&pool->queue))
        pool->progress_ns = now;
    pool->progress = pool->begun;
    if (pool->lost >= most_threads(pool))
        return ROOM_LOST;
    return now - pool->progress_ns > (patience ? patience : WSGI_STALLED_MS) * 1000000u ? ROOM_STALLED : ROOM_FREE;
}

void wsgi_pool_count(struct wsgi_pool *pool, struct interface_threads *ret)
{
    wsgi_pool_lock(pool);
    *ret = (struct interface_threads){ pool->most, pool->inside, pool->lost, room_of(pool) };
    wsgi_pool_unlock(pool);
}

/* --- life --- */

struct wsgi_pool *wsgi_pool_new(struct wsgi *wsgi, struct event_base *base, PyInterpreterState *interp, unsigned most,
                                const struct wsgi_pool_ops *ops)
{
    struct wsgi_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    *pool = (struct wsgi_pool){ .wsgi = wsgi, .ops = ops, .interp = interp, .most = most, .fd = -1 };
    TAILQ_INIT(&pool->queue);
    pthread_cond_init(&pool->work, NULL);
    pool->patience = evtimer_new(base, on_patience, pool);
    if (pool->patience && wsgi_outbox_open(pool, base) == 0)
        return pool;
    wsgi_pool_free(pool);
    return NULL;
}

void wsgi_pool_free(struct wsgi_pool *pool)
{
    if (!pool)
        return;
    wsgi_outbox_close(pool);
    if (pool->patience)
        event_free(pool->patience);
    free(pool);
}
