/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_call.h: one request on its way through the application: what the loop's thread and the application's thread
 * share. Each group of members says which thread or lock owns it; nothing else is shared.
 *
 * WAIT_BODY -> WAIT_TURN -> POOL, GREENLET or INLINE -> OVER; only forward, stages may be skipped.
 */
#ifndef TINE_WSGI_WSGI_CALL_H
#define TINE_WSGI_WSGI_CALL_H

#include <Python.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "worker/http/req.h"
#include "worker/wsgi/wsgi_spool.h"

struct resp_field;
struct wsgi;
struct wsgi_parcel;
struct wsgi_socket;

/* Above it a piece of a body waits for the client, in either direction. */
#define WSGI_BODY_MARK (64u << 10)
/* So much of a body is read ahead of an application that has begun to read it. */
#define WSGI_READ_AHEAD (1024u << 10)
#define WSGI_READ_AHEAD_BUSY (256u << 10) /* while the worker keeps much for its clients */

enum wsgi_stage {
    CALL_WAIT_BODY, /* its body is still coming */
    CALL_WAIT_TURN, /* threads = 1: another request is in the application; else: its body has not come, and others read theirs */
    CALL_POOL, /* given to the pool */
    CALL_GREENLET, /* runs on the loop's thread, and waits there as a greenlet */
    CALL_INLINE, /* runs on the loop's thread, or waits there for the client to read */
    CALL_OVER, /* the application has nothing more to do with it */
};

/* What the application's thread reports to the loop's. */
enum wsgi_note { NOTE_WANTS_BODY = 1, NOTE_FAILED = 2, NOTE_OVER = 4 };

/* The head of an answer as start_response() got it; one block of memory. */
struct wsgi_answer {
    unsigned status;
    struct span reason; /* as in struct resp_head */
    int64_t length; /* Content-Length; -1: none */
    size_t n;
    struct resp_field *fields; /* room for one more */
    char *spare; /* room for a number after the other bytes */
};

/* Where the head of the answer is, as wsgi_head.c sees it. */
enum wsgi_head_place {
    HEAD_NONE, /* the application has not returned */
    HEAD_HELD, /* with its thread, which asks the iterable for the first piece */
    HEAD_GONE, /* it was sent, or nothing will be */
};

/* What became of a piece that was given. */
enum wsgi_sent {
    WSGI_SENT, /* continue */
    WSGI_GONE, /* the client has gone */
    WSGI_ERROR, /* exception set */
};

/* A piece of an answer: bytes, or a part of a file. */
struct wsgi_piece {
    struct wsgi_answer *answer; /* the head goes first; NULL: it was given */
    struct span bytes;
    int fd; /* a file; else -1 */
    off_t at;
    size_t n;
    bool spooled; /* the file is a spool's, of n bytes: wsgi_spool.h */
    bool last;
};

struct wsgi_call {
    atomic_uint refs; /* one held by the request, one by the thread running it, one per Python object */
    struct wsgi *wsgi;

    /* the head; constant */
    char *head;
    struct piece method, target, path, query, prefix;
    struct field *fields;
    uint32_t n_fields;
    enum http_version version;
    struct piece id; /* of http.request_id; n = 0: none */
    struct piece tls; /* tls_variables(); n = 0: none */
    bool https, is_head, has_client, has_server;
    bool socket_offered; /* environ has a socket for a WebSocket; constant once it runs */
    struct endpoint client, server;

    /* the loop's thread */
    struct req *req; /* NULL after on_end */
    enum wsgi_stage stage;
    struct wsgi_socket *socket; /* wsgi_socket.h; NULL: none */
    bool wants_body; /* the application waits for more of it */
    bool head_seen; /* it was held when wsgi_head.c looked at it last */
    bool suspended; /* inline: waits for on_drained */
    bool streams; /* counted in wsgi->streams */
    struct wsgi_spool file; /* being sent; n = 0: it belongs to the application */
    uint64_t given_ns; /* inline: clock_ns() of the last piece; 0: none yet */
    uint64_t killed_ns; /* the greenlet: clock_ns() when the server did it; 0: it has not */
    size_t late; /* bytes that wait for on_drained, the file's left out */
    size_t kept; /* of what is kept for the client (net/memory.h): `in` */
    TAILQ_ENTRY(wsgi_call) all, turn;

    /* the loop's thread until it starts, then the one that runs it */
    struct wsgi_spool body; /* of the request, before what is in `in` */

    /* the pool's lock; inline the loop's thread */
    struct wsgi_spool spool; /* of the answer, after everything that was given to the loop */
    bool spooling; /* the application's thread writes to it, without the lock */
    size_t spooled; /* bytes in it and in the one that is being sent */
    bool last_owed; /* the answer ends after it */

    /* the pool's lock */
    atomic_uint_fast64_t taken_ns; /* clock_ns() when a thread took it, for the loop; 0: none has */
    bool queued; /* in the pool's queue: no thread has it yet */
    bool lost; /* it has kept its thread past app.request_timeout, or its greenlet goes on though it was killed */
    uint64_t begun_ns; /* clock_ns() when a thread or greenlet began with it; 0: none has */
    pthread_t thread; /* that one */
    struct buf in; /* body bytes for the application */
    size_t in_high; /* no more is asked for while half of this is in it */
    bool in_ended; /* no more will come after them (and `body`) */
    bool in_asked; /* the loop knows that the application waits */
    bool gone; /* the request has ended: nothing can be read or sent any more */
    bool broken; /* ... before its answer was complete */
    unsigned lent; /* pieces whose bytes, which belong to Python objects, the loop still reads */
    size_t out; /* bytes given to the loop that the client's side has no room for yet */
    pthread_cond_t changed;
    bool posted; /* in the pool's outbox, with ... */
    unsigned notes; /* enum wsgi_note, for the loop */
    struct wsgi_parcel *parcels, **parcels_end; /* pieces of the answer */
    TAILQ_ENTRY(wsgi_call) queue, outbox;

    /* the thread that runs it, GIL held */
    struct wsgi_answer *answer; /* not sent yet */
    bool answered; /* start_response() was called */
    bool head_sent;
    bool complete; /* the last piece was given */
    atomic_uchar head_place; /* enum wsgi_head_place; the loop's thread reads it without the GIL */
    bool finished; /* the application has ended */
    const char *exit; /* "SystemExit": it wants the process to end; else NULL */
    int socket_fd; /* its end of the pair, until environ has it; -1: none */
    bool is_inline; /* on the loop's thread, as a greenlet or not */
    bool ends_at_once; /* nothing of the application's runs after the last piece */
    PyObject *context, *environ, *result, *iterator;
    PyObject *greenlet, *waiters; /* wsgi_greenlet.c */
};

/* A copy of the request's head. Two references: one of the request, one of the thread that runs it. NULL: out of memory. */
struct wsgi_call *wsgi_call_new(struct wsgi *wsgi, struct req *r);
struct wsgi_call *wsgi_call_ref(struct wsgi_call *c);
void wsgi_call_unref(struct wsgi_call *c);

static inline struct span wsgi_call_span(const struct wsgi_call *c, struct piece at)
{
    return (struct span){ c->head + at.at, at.n };
}

/* "GET /path?query HTTP/1.1" from 127.0.0.1:5000; needs no GIL. */
void wsgi_call_describe(const struct wsgi_call *c, char *to, size_t n);

#endif
