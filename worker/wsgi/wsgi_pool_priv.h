/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_pool_priv.h: the pool as its two files know it. */
#ifndef TINE_WSGI_WSGI_POOL_PRIV_H
#define TINE_WSGI_WSGI_POOL_PRIV_H

#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_state.h"

struct event;

/* A piece on its way to the loop; bytes that are not lent lie after it. */
struct wsgi_parcel {
    struct wsgi_parcel *next;
    struct wsgi_piece piece;
    bool lent;
    char bytes[];
};

struct wsgi_pool {
    struct wsgi *wsgi;
    const struct wsgi_pool_ops *ops;
    PyInterpreterState *interp;
    struct event *event;
    int fd; /* eventfd: the loop has notes to read */
    struct wsgi_call *owed; /* the loop's: has bytes that its thread was not woken for */

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct wsgi_calls queue; /* for the threads */
    struct wsgi_calls outbox; /* with notes or parcels for the loop */
    unsigned most, n_threads, idle;
    bool waking; /* a thread was woken and has not looked yet */
};

/* The call has something for the loop. Lock held. True: the loop has to be woken, by wsgi_pool_wake(). */
bool wsgi_pool_post(struct wsgi_call *c);

#endif
