/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_pool_priv.h: the pool as its files know it. */
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
    struct event *patience; /* while calls wait for a thread, the loop looks after them */
    struct wsgi_call *owed; /* the loop's: has bytes that its thread was not woken for */

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct wsgi_calls queue; /* for the threads */
    struct wsgi_calls outbox; /* with notes or parcels for the loop */
    unsigned most, n_threads, idle, inside; /* `inside`: threads that run a call */
    unsigned lost; /* of those, past app.request_timeout */
    uint64_t progress, progress_ns; /* `begun` when it was counted last; clock_ns() of its last change */
    unsigned blocking; /* for so many more calls the application is taken for one that waits in them */
    uint64_t begun, seen; /* calls that threads have begun with; when the loop looked last */
    bool watched; /* `patience` is set: the loop looks at the outbox by itself, soon */
    bool told; /* the loop is on its way to the outbox */
    unsigned untold; /* posts that it was not told of, since ... */
    uint64_t untold_since; /* clock_ns() */
    bool standby; /* a thread was made or woken for what is in the queue, and has not got the GIL yet */
    atomic_uint named; /* threads that have had a name */
};

/* When the loop has to know of what is posted. */
enum wsgi_haste {
    POST_NOW,
    POST_SOON, /* the answer is complete: with those that follow it, if some do right away */
    POST_FOLLOWED, /* another post follows at once */
};

/* The call has something for the loop. Lock held. True: the loop has to be woken, by wsgi_pool_wake(). */
bool wsgi_pool_post(struct wsgi_call *c, enum wsgi_haste haste);

/* Lock held. True: the loop has to be woken, by wsgi_pool_wake(), for posts that it was not told of. */
bool wsgi_outbox_must_tell(struct wsgi_pool *pool);
/* Posts a note. NOTE_OVER drops the last reference: `c` may be freed afterwards. */
void wsgi_outbox_note(struct wsgi_call *c, enum wsgi_note note);
/* The loop's thread: takes everything that is posted. */
void wsgi_outbox_read(struct wsgi_pool *pool);
/* Lock, outbox, event. 0, or -1 with errno. */
int wsgi_outbox_open(struct wsgi_pool *pool, struct event_base *base);
void wsgi_outbox_close(struct wsgi_pool *pool);

#endif
