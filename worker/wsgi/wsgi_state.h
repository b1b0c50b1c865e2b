/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_state.h: everything that WSGI keeps per worker: the application, types, interned names, the pool. No statics:
 * each interpreter has its own. Python objects are the GIL's; the rest says which thread it belongs to. */
#ifndef TINE_WSGI_WSGI_STATE_H
#define TINE_WSGI_WSGI_STATE_H

#include <Python.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "worker/app/interface.h"
#include "worker/http/handler.h"

struct event;
struct wsgi_call;
struct wsgi_flusher;
struct wsgi_greenlets;
struct wsgi_pool;

struct wsgi_names {
#define NAME(member, text) PyObject *member;
#include "worker/wsgi/wsgi_names.def"
};

/* Without server.timeout: for so long no call may be begun with while some wait. */
#define WSGI_STALLED_MS 30000u

/* Keys of environ for field names seen lately, direct-mapped. */
#define WSGI_KEY_SLOTS 256
#define WSGI_KEY_MAX 64

struct wsgi_key {
    unsigned char n; /* 0: empty */
    char name[WSGI_KEY_MAX]; /* as the request has it */
    PyObject *key;           /* "HTTP_..." */
};

/* A text seen lately, such as the address of a proxy. */
struct wsgi_text {
    char bytes[108];
    PyObject *text;
};

TAILQ_HEAD(wsgi_calls, wsgi_call);

struct wsgi {
    struct handler handler; /* first */
    struct app_env env;
    bool said_mismatch; /* app_mismatch.h; under the GIL */
    PyObject *draining; /* environ["tine.draining"] */
    unsigned threads; /* or greenlets: at most so many calls at a time */
    struct wsgi_greenlets *greenlets; /* NULL: the loop is not gevent's */
    uint64_t limit_ms; /* for which a call may keep a thread, or be a greenlet; 0: any time */
    pthread_t loop_thread;

    /* GIL */
    PyObject *app;
    struct wsgi_names names;
    PyTypeObject *input_type, *errors_type, *start_type, *file_type;
    PyObject *environ;      /* what all have in common; copied for each request */
    PyObject *context;      /* contextvars as the application's modules left them */
    PyObject *gone_error;   /* exception class: the client is gone; an OSError */
    PyObject *file_io, *buffered_reader, *buffered_random; /* types of real files */
    bool warned_hop_by_hop; /* wsgi_start.c */
    struct wsgi_key keys[WSGI_KEY_SLOTS];
    struct wsgi_text server_name, server_port, remote_addr;

    /* the loop's thread */
    struct wsgi_calls calls;   /* that the application has, or will have */
    struct wsgi_calls waiting; /* for their turn: threads = 1, greenlets; else those whose bodies are still coming */
    unsigned running, lost; /* lost: of those, past app.request_timeout */
    unsigned n_greenlets;      /* calls that are greenlets */
    unsigned streams;          /* threads > 1, greenlets: those in applications that read a body while it comes */
    bool busy;                 /* threads = 1: the application has a request */
    struct event *limit_timer; /* wsgi_limit.c; NULL: no limit */
    struct event *head_timer;  /* wsgi_head.c */
    bool heads_watched;        /* it is pending */
    bool hands_over;           /* threads = 1: its write() was too fast for a client once: not on the loop's thread */

    atomic_size_t spooled;     /* bytes in files: wsgi_spool.c */
    atomic_bool spool_failed;  /* and was logged */
    atomic_bool spools_in_memory; /* no folder takes a file */
    struct wsgi_pool *pool;    /* has its own lock */
    struct wsgi_flusher *flusher; /* the same */
};

#endif
