/* SPDX-License-Identifier: BSD-3-Clause */
/* ws.h: a WebSocket (RFC 6455) as its user sees it: judge the request, accept it, then messages both ways, until
 * on_close. The user is asgi_ws.c; nothing here knows Python, HTTP's wire format or which engine speaks.
 *
 * Way of one: a handler gets a request (handler.h) and asks ws_judge(). WS_ASKED: it is a sound opening handshake; it
 * stays an ordinary request until the handler answers it: ws_accept() for 101, or resp_start()... for a denial, as for
 * any request. WS_REFUSE: ws_refuse(). After ws_accept() returned WS_OPENED the request has ended (on_end was called) and
 * the connection belongs to a struct ws.
 *
 * What a user need not care for, because the session does it for every engine: assembly of messages, limits, UTF-8,
 * compression, pings and their timeout, the closing handshake and its deadline, back-pressure to the socket.
 */
#ifndef TINE_WS_WS_H
#define TINE_WS_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/span.h"
#include "worker/net/sent.h"

struct conn;
struct net;
struct req;
struct resp_field;
struct ws;

/* --- opening handshake --- */

enum ws_ask {
    WS_NOT_ASKED, /* an ordinary request, whatever other protocols it offers to change to (RFC 9110 7.8) */
    WS_ASKED,     /* a complete opening handshake (RFC 6455 4.2.1) */
    WS_REFUSE,    /* an attempt at one that is wrong: ws_refuse() */
};

struct ws_verdict {
    enum ws_ask ask;
    unsigned status; /* of WS_REFUSE: 400 or 426 */
    const char *why;
};

/* Call only for a request that has FIELD_UPGRADE or names a protocol: without the answer is WS_NOT_ASKED. Pure. */
struct ws_verdict ws_judge(const struct req *r);
/* Answers what ws_judge() refused; 426 names the version that we speak (RFC 6455 4.4). on_end() follows. */
void ws_refuse(struct req *r, const struct ws_verdict *verdict);

/* The subprotocols that the client offers, in its order, over all its fields: walk with a zeroed cursor until false.
 * Spans are in the head of the request. */
struct ws_offer {
    uint32_t field;   /* the next to look at */
    struct span rest; /* of the one before it */
};
bool ws_next_subprotocol(const struct req *r, struct ws_offer *cursor, struct span *ret_name);

enum ws_kind { WS_TEXT = 1, WS_BINARY = 2 };

/* Calls to the user of a session. Each may come from inside a ws_*() call of the user itself, but for on_message and
 * on_close, which only come from the loop. */
struct ws_user_ops {
    /* A whole message; text is valid UTF-8. The bytes must be copied. It counts as untaken until ws_taken(); with
     * max_queue untaken messages (or max_message_size bytes in them) the session stops reading from the socket. */
    void (*on_message)(struct ws *ws, enum ws_kind kind, struct span bytes);
    /* After ws_send() said LATER: the peer has read enough. */
    void (*on_drained)(struct ws *ws);
    /* Exactly once, last: no message comes any more, ws_send() says GONE, and the session is dead for the user after
     * the call. code: the peer's; 1005 = its Close frame had none; 1006 = the connection was lost without one; or our
     * own when we ended it (1002, 1007, 1009, 1011, 1012, or what ws_close() was given and the peer has answered). */
    void (*on_close)(struct ws *ws, unsigned code, struct span reason);
};

struct ws_accept {
    struct span subprotocol; /* "" = none; must be one that the client offers */
    const struct resp_field *fields; /* the application's own, checked as by resp_start() */
    size_t n_fields;
    const struct ws_user_ops *ops;
    void *user;
};

enum ws_accepted {
    WS_OPENED, /* *ret_ws is open; on_end(REQ_END_COMPLETE) of the request was called */
    WS_BAD_FIELD, /* not a field, or one that is the server's to send (Sec-WebSocket-*); nothing was sent */
    WS_BAD_SUBPROTOCOL, /* not among those offered; nothing was sent */
    WS_CLIENT_GONE, /* on_end() was or will be called */
    WS_NO_MEMORY, /* nothing was sent: the request can still be answered */
};

/* Answers 101 and opens the session, or leaves the request as it was. */
enum ws_accepted ws_accept(struct req *r, const struct ws_accept *a, struct ws **ret_ws)
    __attribute__((warn_unused_result));

/* --- an open one --- */

/* One message; the bytes are sent or copied before it returns. Text must be valid UTF-8 (the caller's word). Messages
 * of one loop turn leave in one write. LATER: on_drained or on_close follows; GONE: the closing has begun or the
 * connection is lost, on_close was or will be called. */
enum sent ws_send(struct ws *ws, enum ws_kind kind, struct span bytes) __attribute__((warn_unused_result));

/* Begins the closing handshake (RFC 6455 7.1.2): Close frame after what was sent; on_close follows when the peer has
 * answered, or its time is up. Messages that still come from the peer are dropped. False: code may not be sent in a Close
 * frame (7.4), or reason is longer than 123 bytes or no UTF-8; nothing was done. Without effect once closing. */
bool ws_close(struct ws *ws, unsigned code, struct span reason);

/* The oldest untaken message, of n bytes, was taken: the session may read on. */
void ws_taken(struct ws *ws, size_t n);

void *ws_user(const struct ws *ws);
/* What the user keeps of messages counts for this connection (net/memory.h), which on_close is the last to see. */
struct conn *ws_conn(const struct ws *ws);

/* Whether a code may stand in a Close frame: 1000-1003, 1007-1014, 3000-4999 (RFC 6455 7.4, IANA registry). */
bool ws_code_is_good(unsigned code);

#endif
