/* SPDX-License-Identifier: BSD-3-Clause */
/* handler.h: who answers a request: asgi, wsgi, static files, built-in. Python-free: the seam between HTTP and the
 * application.
 *
 * Life of a request: on_request, then any of on_body, on_drained, on_peer_eof, and exactly once, last, on_end. Every
 * call may come from inside a req_*() or resp_*() call of the handler itself; after on_end the request is dead for the
 * handler (it must drop its pointer), though the connection may still be sending what was given.
 */
#ifndef TINE_HTTP_HANDLER_H
#define TINE_HTTP_HANDLER_H

struct conn;
struct handler;
struct req;

enum req_end {
    REQ_END_COMPLETE,     /* the whole answer was given to the kernel, or waits in a buffer below the high mark */
    REQ_END_CLIENT_GONE,  /* reset, EOF inside the body, write timeout, or req_abandon() */
    REQ_END_BODY_TIMEOUT, /* the body stopped coming; the connection is closed (408 was sent if nothing had been) */
    REQ_END_BODY_BAD, /* chunk framing was wrong, or the body passed limit_request_body (400/413 sent if possible) */
    REQ_END_REQUEST_TIMEOUT, /* http.request_timeout: answered for the handler, whose work should be cancelled */
    REQ_END_ABORTED, /* resp_abort() was called */
    REQ_END_SHUTDOWN, /* the worker stops now (503 was sent if no byte of an answer had been) */
};

struct handler_ops {
    const char *name;
    /* The head is complete and passed every rule; body bytes that came with it are in req_body(). */
    void (*on_request)(struct handler *h, struct req *r);
    /* After req_body_want(): more bytes in req_body(), or req_body_ended(). Once per want. */
    void (*on_body)(struct req *r);
    /* The output fell below the low mark after a resp_*() call returned RESP_LATER. */
    void (*on_drained)(struct req *r);
    /* The peer closed its sending side after a complete request: it may have gone, or still wait for the answer.
     * Answers still go out; a handler whose application waits for a disconnect calls req_abandon(). */
    void (*on_peer_eof)(struct req *r);
    void (*on_end)(struct req *r, enum req_end why);
    /* The connection is about to be freed: release what conn_user(conn) holds. May be NULL. */
    void (*on_conn_close)(struct handler *h, struct conn *c);
};

/* Embedded at the start of each handler's own struct. */
struct handler {
    const struct handler_ops *ops;
};

#endif
