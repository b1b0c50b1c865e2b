/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_state.h: everything that ASGI keeps per worker: the application, interned names, types, free lists. No statics:
 * each interpreter has its own. */
#ifndef TINE_ASGI_ASGI_STATE_H
#define TINE_ASGI_ASGI_STATE_H

#include <Python.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "worker/app/interface.h"
#include "worker/asgi/asgi_pairs.h"
#include "worker/http/handler.h"

struct awaitables;
struct channel;
struct exchange;
struct lifespan;

struct asgi_names {
#define NAME(member, text) PyObject *member;
#include "worker/asgi/asgi_names.def"
};

#ifdef __SANITIZE_ADDRESS__ /* what was freed must look freed */
#define ASGI_FREE_MAX 1
#else
#define ASGI_FREE_MAX 256
#endif

/* Objects of one type that wait to be used again. */
struct free_list {
    unsigned n;
    PyObject *v[ASGI_FREE_MAX];
};

struct asgi {
    struct handler handler; /* first */
    struct app_env env;
    pthread_t thread; /* of the event loop: what belongs to a connection is touched in no other */
    PyObject *app;
    const char *version; /* in scope["asgi"] */
    struct awaitables *awaitables;

    struct asgi_names names;
    PyTypeObject *receive_type, *send_type, *step_type, *exchange_type, *lifespan_type, *websocket_type;
    struct free_list receives, sends, steps, exchanges;

    /* scope */
    PyObject *template_http;    /* scope with all keys in order, filled per request */
    PyObject *extensions;       /* copied into each HTTP/1.1 scope */
    PyObject *extensions_1_0;
    PyObject *template_websocket;
    PyObject *extensions_websocket;
    PyTypeObject *offer_type, *partial_type; /* asgi_offer.h; NULL: it judges nothing */
    PyObject *empty_bytes;
    PyObject *root_path, *root_path_bytes; /* app.root_path, which paths begin with; NULL if it is "" */
    struct asgi_pairs pairs;
    PyObject *tls_cert; /* the server's certificate that the latest connection of TLS was shown; NULL: none yet */
    uint64_t tls_cert_id;
    PyObject *seen_start, *seen_body; /* the latest "http.response.start" and "...body" that are not ours */

    bool said_mismatch; /* app_mismatch.h */
    PyObject *draining; /* scope["tine.draining"] */
    bool ends_streams; /* the service stops */
    LIST_HEAD(, exchange) streams; /* exchanges that answer a GET by an event stream */

    PyObject *state; /* lifespan state, NULL without lifespan */
    struct channel *lifespan; /* the lifespan exchange, NULL if none */
    PyObject *asgi_version; /* copied into each scope */
    PyObject *cancelled_error; /* asyncio.CancelledError, or the loop's own */
    bool has_checkpoints; /* pyloop_has_checkpoints() */
    PyObject *gone_error; /* exception class raised by send() after a disconnect, an OSError */
};

/* Object of `type` from the list or the heap, refcount 1, fields after the header not touched. NULL: exception set. */
PyObject *free_list_new(struct free_list *list, PyTypeObject *type);
/* The end of tp_dealloc. */
void free_list_put(struct free_list *list, PyObject *object);
void free_list_clear(struct free_list *list);

#endif
