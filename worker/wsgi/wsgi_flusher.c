/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_flusher.c: see wsgi_flusher.h. */
#include "worker/wsgi/wsgi_flusher.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/fatal.h"
#include "worker/http/resp.h"
#include "worker/wsgi/wsgi_call.h"

enum flusher_state {
    FLUSHER_NEW,
    FLUSHER_RUNS, /* it has its thread */
    FLUSHER_FAILED, /* none can be had */
};

struct wsgi_flusher {
    PyInterpreterState *interp;

    /* GIL */
    enum flusher_state state;
    struct wsgi_call *call; /* whose pieces wait; NULL: none; borrowed */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wanted; /* the thread shall get the GIL */
};

struct wsgi_flusher *wsgi_flusher_new(PyInterpreterState *interp)
{
    struct wsgi_flusher *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->interp = interp;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    return f;
}

void wsgi_flusher_free(struct wsgi_flusher *f)
{
    free(f);
}

static void wait_until_wanted(struct wsgi_flusher *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->wanted)
        pthread_cond_wait(&f->changed, &f->lock);
    f->wanted = false;
    pthread_mutex_unlock(&f->lock);
}

/* GIL held. */
static void flush(struct wsgi_flusher *f)
{
    struct wsgi_call *c = f->call;
    f->call = NULL;
    if (c && c->req)
        resp_flush(c->req);
}

static void *thread_main(void *arg)
{
    struct wsgi_flusher *f = arg;
    PyThreadState *state = PyThreadState_New(f->interp);
    fatal_unless(state); /* out of memory, while the application waits for nothing */
    for (;;) {
        wait_until_wanted(f);
        PyEval_RestoreThread(state);
        flush(f);
        PyEval_SaveThread();
    }
    return NULL;
}

static void set_state(struct wsgi_flusher *f, enum flusher_state to)
{
    f->state = to;
}

static void start(struct wsgi_flusher *f)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_main, f)) {
        set_state(f, FLUSHER_FAILED);
        return;
    }
    pthread_detach(thread);
    set_state(f, FLUSHER_RUNS);
}

bool wsgi_flusher_watch(struct wsgi_flusher *f, struct wsgi_call *c)
{
    if (f->state == FLUSHER_NEW)
        start(f);
    if (f->state != FLUSHER_RUNS)
        return false;
    if (f->call == c)
        return true;
    f->call = c;
    pthread_mutex_lock(&f->lock);
    f->wanted = true;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return true;
}

void wsgi_flusher_leave(struct wsgi_flusher *f)
{
    f->call = NULL;
}
