/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_engine.h: the seam between a WebSocket session (ws_session.c) and the engine that speaks frames for it.
 *
 * An engine knows frames: headers, masks, lengths, opcodes, reserved bits, the order of fragments, and how bytes reach
 * the peer. The session knows everything else and is the same for all: it puts messages together and limits them,
 * checks UTF-8, deflates and inflates, answers pings, sends its own, decides on every close code, keeps deadlines and
 * reports to the user. An engine never calls the user and keeps no timers per connection.
 *
 * Two kinds: an engine over conn.h (wslay) gets the connection's bytes from on_data and writes with conn_writev*(); it
 * works over every transport. An engine that owns the socket (libwebsockets) takes the descriptor by conn_lend() in
 * open; the struct conn stays as an empty shell for the deadline, for counting and for shutdown, and the engine says
 * ws_link_gone() when the socket is closed.
 *
 * Life: open once; events; `end` or `drop` at most once each; free once, always, from the sweep of the connections,
 * never inside a call of the engine's own. After an event function has returned false, `end` or `drop` was called (or the
 * connection is dead): the engine reports nothing more and throws away what still comes.
 */
#ifndef TINE_WS_WS_ENGINE_H
#define TINE_WS_WS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/span.h"
#include "worker/ws/ws.h"

struct conn;
struct net;
struct ws_engine_ops;

enum ws_opcode { WS_OP_TEXT = 1, WS_OP_BINARY = 2, WS_OP_CLOSE = 8, WS_OP_PING = 9, WS_OP_PONG = 10 };

/* What session and engine share of a connection; the first member of struct ws. */
struct ws_link {
    const struct ws_engine_ops *engine;
    struct conn *conn;
    void *shared; /* what the engine's start() made for this worker */
    void *data;   /* the engine's own, made by open */
    bool deflate; /* permessage-deflate is agreed on: RSV1 is allowed on the first frame of a message */
};

/* For engines that write the 101 themselves (writes_head); all spans are gone after open. Fields were checked and hold
 * none that the handshake itself defines. */
struct ws_opening {
    struct span key;         /* Sec-WebSocket-Key */
    struct span subprotocol; /* chosen; "" = none */
    struct span extensions;  /* value of Sec-WebSocket-Extensions; "" = none */
    const struct resp_field *fields;
    size_t n_fields;
};

struct ws_engine_ops {
    const char *name;
    /* The engine needs the socket itself and writes the 101; false: the session writes it before open. Such an engine is
     * only taken for connections whose transport is plain. */
    bool owns_socket;

    /* Once per worker, before the first open; NULL: out of memory or the library fails (the engine logs why). */
    void *(*start)(struct net *net);
    /* After the last free. */
    void (*stop)(void *shared);

    /* Takes a connection; sets link->data. 0, or -1: no memory; then free is not called. Bytes that the client sent after
     * its head come by on_data: those that are here already, before anything else happens in the loop. An engine that owns
     * the socket must take them there and adopt the socket then, or in the next turn if none come (conn->in may still
     * hold some: take those too). */
    int (*open)(struct ws_link *link, const struct ws_opening *opening);
    /* An unfragmented data frame, RSV1 set if `compressed`; bytes are sent or copied. Frames of one loop turn should leave
     * in one write. LATER: more waits than CONN_HIGH_MARK; ws_link_drained() follows. GONE: the connection is lost
     * (ws_link_gone() follows from the loop, or the conn is dead). */
    enum sent (*send)(struct ws_link *link, enum ws_opcode opcode, bool compressed, struct span bytes);
    /* A ping, pong or close frame of at most 125 bytes, after what was sent before. A Close frame is sent once, and
     * nothing after it. The payload of a Close frame is code (big endian) and reason, or empty. */
    enum sent (*control)(struct ws_link *link, enum ws_opcode opcode, struct span payload);
    /* Stops and starts reading from the socket: called seldom, both may be called twice. Frames that are in the engine
     * already may still be reported after pause (at most one read's worth). */
    void (*pause)(struct ws_link *link);
    void (*resume)(struct ws_link *link);
    /* Both Close frames have passed, or ours is the last word: close the connection when all is written (conn_close()),
     * with lingering, so that the peer gets our Close. No event but gone afterwards. */
    void (*end)(struct ws_link *link);
    /* Close at once, whatever waits to be sent (conn_abort()). */
    void (*drop)(struct ws_link *link);
    void (*free)(struct ws_link *link);

    /* Engines over conn only, NULL for others: as in struct proto_ops. on_data is also called (once, at most, straight
     * after open) on engines that own the socket. */
    size_t (*on_data)(struct ws_link *link, char *p, size_t n);
    void (*on_drained)(struct ws_link *link);
};

/* --- events, engine -> session --- */

/* A part of a message: of any size, as it comes; frames need not be put together, nor kept until they are whole. An
 * empty message is one piece of 0 bytes. The engine has checked: mask present, RSV2 and RSV3 clear, RSV1 only on the
 * first frame and only if link->deflate, a continuation only inside a message and nothing else there, lengths in their
 * shortest form. The bytes may be changed in place by the session. */
struct ws_piece {
    enum ws_kind kind; /* of the whole message */
    bool first, last;
    bool compressed; /* RSV1 of the first frame; the same for all pieces */
    char *p;
    size_t n;
};

/* All of these: true = continue; false = see above ("Life"). */
bool ws_link_piece(struct ws_link *link, const struct ws_piece *piece);
/* Whole payloads of control frames, at most 125 bytes. The session answers a ping with control(PONG), in the event; an
 * engine whose library answers pings itself does not report them (pings must then be answered all the same). */
bool ws_link_ping(struct ws_link *link, struct span payload);
bool ws_link_pong(struct ws_link *link, struct span payload);
/* The peer's Close frame, as it came: the session judges code and reason (a payload of 1 byte, codes, UTF-8), answers
 * with control(CLOSE) if it has sent none, and calls end. Always false. */
bool ws_link_close(struct ws_link *link, struct span payload);
/* The peer broke the protocol (what the engine checks, see ws_piece; fragmented or long control frames; unknown
 * opcodes): the session sends Close 1002 and ends. `why` is for the debug log. Always false. */
bool ws_link_failed(struct ws_link *link, const char *why);
/* Output fell below CONN_LOW_MARK after LATER. */
void ws_link_drained(struct ws_link *link);
/* Engines that own the socket only: it is closed, nothing of the engine points to it any more. `link` is dead for the
 * engine but for free. Engines over conn need not report it: the session sees the conn end. */
void ws_link_gone(struct ws_link *link);

extern const struct ws_engine_ops ws_engine_wslay;
extern const struct ws_engine_ops ws_engine_lws; /* only #if TINE_LIBWEBSOCKETS */

#endif
