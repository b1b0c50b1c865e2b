/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_exchange.h: one HTTP request and its answer as the application sees them. */
#ifndef TINE_ASGI_ASGI_EXCHANGE_H
#define TINE_ASGI_ASGI_EXCHANGE_H

#include <Python.h>
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "worker/asgi/asgi_channel.h"
#include "worker/http/resp.h"

struct conn_names;
struct memory;
struct req;

/* Where the application's answer is; only forward. */
enum exchange_stage {
    EXCHANGE_HEAD,     /* no http.response.start yet */
    EXCHANGE_BODY,
    EXCHANGE_TRAILERS, /* body complete, http.response.trailers are to follow */
    EXCHANGE_COMPLETE, /* all of it was given: further messages are ignored */
};

/* What a drain of the worker is to it: asgi_drain.h. */
enum exchange_drain {
    EXCHANGE_OTHER,  /* nothing */
    EXCHANGE_STREAM, /* an event stream */
    EXCHANGE_TOLD,   /* one that is to end: receive() says http.disconnect */
};

struct exchange {
    struct channel channel; /* first */
    struct req *req;        /* NULL after on_end */
    struct conn_names *names; /* of the connection */
    PyObject *scope;        /* for the log; dropped when the application has ended */
    enum exchange_stage stage;
    enum exchange_drain drain;
    LIST_ENTRY(exchange) stream; /* unless EXCHANGE_OTHER */
    bool gone;              /* the client went away, or the answer broke: send() raises */
    bool peer_eof;          /* the client has closed its sending side */
    bool request_received;      /* the last http.request was received */
    bool left;              /* the application still runs though the request was lost */
    bool late;              /* the send() that waits has been taken by the socket */
    bool trailers;          /* announced in http.response.start */
    bool left_behind;       /* cancelled because its client is gone */
    unsigned ignored;       /* send() calls after `gone`, if they do not raise */
    uint64_t ignored_ms;    /* clock_ms() of the first of them */
    struct memory *memory; /* of the worker, once `left`: what the application still has of the request counts there */
    size_t kept;
    int file_fd; /* opened for pathsend: closed when sent; else -1 */
    PyObject *file; /* of zerocopysend: kept until sent */
    PyObject *lent; /* the body that the connection is sending from */
};

static inline void exchange_set_stage(struct exchange *x, enum exchange_stage to)
{
    assert(to > x->stage);
    x->stage = to;
}

/* Translates a resp_*() result for the application: CHANNEL_ERROR with an exception set where it should know. */
enum channel_result exchange_result(struct exchange *x, enum resp_result result);

/* For a client that is gone. CHANNEL_ERROR from ASGI 2.4 on: send() raises an OSError. Before, it is ignored (CHANNEL_TURN); one
 * that goes on for too long, because it does not listen for the disconnect, is cancelled (CHANNEL_ERROR). */
enum channel_result exchange_gone(struct exchange *x);

/* Whether no message is taken now; then *ret is the result of its send(). Asked again once a message has been read: that
 * was the application's code, which may have sent others. */
bool exchange_refuses(struct exchange *x, enum channel_result *ret);

#endif
