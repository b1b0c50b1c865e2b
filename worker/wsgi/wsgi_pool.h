/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_pool.h: threads that run the application, and the one lock under which they and the loop's thread meet. The
 * loop gives them calls and bytes of bodies; they give back notes and pieces of answers. Whoever holds the lock neither
 * waits for the GIL nor calls anything that does.
 */
#ifndef TINE_WSGI_WSGI_POOL_H
#define TINE_WSGI_WSGI_POOL_H

#include <Python.h>
#include <pthread.h>
#include <stdbool.h>

#include "worker/wsgi/wsgi_out.h"

struct event_base;
struct wsgi;
struct wsgi_call;
struct wsgi_pool;

/* What is said to the loop about a call. `over`: the application has ended. Called on the loop's thread, without lock. */
struct wsgi_pool_ops {
    void (*on_over)(struct wsgi_call *c);
    void (*on_turn)(struct wsgi *wsgi); /* after wsgi_pool_wake() */
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
/* The request is over: whoever waits for it wakes up. */
void wsgi_pool_end(struct wsgi_call *c, bool broken);
/* The client took `n` bytes that were given with RESP_LATER. */
void wsgi_pool_credit(struct wsgi_call *c, size_t n);
/* `n` bytes of a spool were sent. */
void wsgi_pool_unspool(struct wsgi_call *c, size_t n);
/* There are bytes for whoever waits for some: wakes him at the end of the turn, when more may be there. */
void wsgi_pool_wake_reader(struct wsgi_call *c);
/* Its body is here, or it is over: another may read one while it comes. */
void wsgi_pool_stream_ends(struct wsgi_call *c);
/* on_turn comes in the next turn. */
void wsgi_pool_wake(struct wsgi_pool *pool);

/* --- the thread that runs the call; GIL held --- */

bool wsgi_pool_is_gone(struct wsgi_call *c);
/* Somebody waits for bytes of the body. */
void wsgi_pool_ask_body(struct wsgi_call *c);
/* Whether this is the loop's thread, which must not wait: finalizers of the application run there too. */
bool wsgi_pool_is_loop(const struct wsgi_pool *pool);
/* As wsgi_out_now(); what the client has no room for goes into the spool, and waits only when that has none either. */
enum wsgi_sent wsgi_pool_send(struct wsgi_call *c, struct wsgi_piece *piece);
/* As wsgi_out_fail(). */
void wsgi_pool_fail(struct wsgi_call *c);

#endif
