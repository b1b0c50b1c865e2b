/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_pool.h: threads that run the application, and the one lock under which they and the loop's thread meet. The
 * loop gives them calls and bytes of bodies; they give back notes and pieces of answers. The thread that holds the lock
 * neither waits for the GIL nor calls anything that does.
 */
#ifndef TINE_WSGI_WSGI_POOL_H
#define TINE_WSGI_WSGI_POOL_H

#include <Python.h>
#include <pthread.h>
#include <stdbool.h>

#include "worker/app/interface.h"
#include "worker/http/resp.h"
#include "worker/wsgi/wsgi_call.h"

struct event_base;
struct wsgi;
struct wsgi_pool;

/* What the pool calls above it; without the lock. */
struct wsgi_pool_ops {
    /* A thread of the pool, GIL held: runs the application. Always true: it has ended. */
    bool (*run)(struct wsgi_call *c);

    /* The loop's thread. A piece of the answer, in their order; the result is resp_body()'s. */
    enum resp_result (*give)(struct wsgi_call *c, const struct wsgi_piece *piece);
    /* After those: what lies in the spool may be next. */
    void (*pump)(struct wsgi_call *c);
    /* The application has failed: 500, or the answer is cut. */
    void (*fail)(struct wsgi_call *c);
    /* The application waits for more of the body. */
    void (*feed)(struct wsgi_call *c);
    /* The application has ended; drops the reference of the thread that ran it. */
    void (*on_ended)(struct wsgi_call *c);
    /* After wsgi_pool_wake(). */
    void (*on_turn)(struct wsgi *wsgi);
};

/* NULL: errno. Threads are made when there is work for them, up to `most`. */
struct wsgi_pool *wsgi_pool_new(struct wsgi *wsgi, struct event_base *base, PyInterpreterState *interp, unsigned most,
                                const struct wsgi_pool_ops *ops);
/* Only for one that was never used. */
void wsgi_pool_free(struct wsgi_pool *pool);

void wsgi_pool_lock(struct wsgi_pool *pool);
void wsgi_pool_unlock(struct wsgi_pool *pool);
void wsgi_pool_wait(struct wsgi_pool *pool, pthread_cond_t *changed);

/* --- the loop's thread; no GIL --- */

/* 0, or -1: no thread could be made. */
int wsgi_pool_push(struct wsgi_call *c);
/* True: no thread had it yet, and none will. */
bool wsgi_pool_take_back(struct wsgi_call *c);
/* The request has ended: wakes the threads that wait for it. */
void wsgi_pool_end(struct wsgi_call *c, bool broken);
/* The client took `n` bytes that were given with RESP_LATER. */
void wsgi_pool_credit(struct wsgi_call *c, size_t n);
/* `n` bytes of a spool were sent. */
void wsgi_pool_unspool(struct wsgi_call *c, size_t n);
/* There are bytes for a reader that waits: wakes it at the end of the turn, when more may have come. */
void wsgi_pool_wake_reader(struct wsgi_call *c);
/* Its body is complete, or it has ended: another call may read a body while that comes. */
void wsgi_pool_stream_ends(struct wsgi_call *c);
bool wsgi_pool_is_queued(struct wsgi_call *c);
/* Milliseconds for which a thread has had it; 0: none has it yet. *ret_thread: which one. */
uint64_t wsgi_pool_age(struct wsgi_call *c, pthread_t *ret_thread);
/* Its thread is lost: another one may be made in its place, as often as there may be threads, unless there may be one only;
 * it ends if the application comes back. */
void wsgi_pool_lose(struct wsgi_call *c);
void wsgi_pool_count(struct wsgi_pool *pool, struct interface_threads *ret);
/* on_turn comes in the next turn. */
void wsgi_pool_wake(struct wsgi_pool *pool);

/* --- the thread that runs the call; GIL held --- */

bool wsgi_pool_is_gone(struct wsgi_call *c);
/* The application waits for bytes of the body. */
void wsgi_pool_ask_body(struct wsgi_call *c);
/* Whether this is the loop's thread, which must not wait: finalizers of the application run there too. */
bool wsgi_pool_is_loop(const struct wsgi_pool *pool);
/* Sends a piece; takes its answer and descriptor. What the client has no room for goes into the spool; waits only when that
 * has none either. */
enum wsgi_sent wsgi_pool_send(struct wsgi_call *c, struct wsgi_piece *piece);
/* 500 if nothing was sent, else the answer is cut. */
void wsgi_pool_fail(struct wsgi_call *c);

#endif
