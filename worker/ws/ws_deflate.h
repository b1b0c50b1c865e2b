/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_deflate.h: permessage-deflate (RFC 7692) over zlib: what is agreed on, and messages in and out. Used by the session
 * for every engine; knows no frames and no connections.
 *
 * Memory: zlib wants about 30 KB to deflate (window of 12 bits) and 12 KB to inflate (40 KB from a client that cannot
 * limit its window), too much for each of 10,000 idle connections. So streams belong to the pool, which lends them:
 * a connection that keeps its context keeps its stream too until more than WS_DEFLATE_STREAMS of the direction are
 * asked for; then the one used longest ago is taken from it. Out, its context is forgotten: its next message refers to
 * nothing before it, which is always legal and costs some bytes. In, the client may refer to what it sent, so the last
 * bytes of it, no more than its window, are kept. These windows are granted out of a budget per pool; when that is spent,
 * further clients get client_no_context_takeover, which a server may always ask for (RFC 7692 7.1.1.2). An idle
 * connection holds 64 bytes and at most its window (4 KB, or 32 KB for a client that cannot limit it).
 */
#ifndef TINE_WS_WS_DEFLATE_H
#define TINE_WS_WS_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/span.h"

#define WS_DEFLATE_BUDGET (16u << 20) /* bytes of windows that clients may refer to, per pool */
#define WS_DEFLATE_STREAMS 256 /* of each direction, per pool; more only while more messages are half read */
#define WS_DEFLATE_WINDOW 12 /* bits: the most that we use, and ask for where we may */
#define WS_DEFLATE_FIELD 160 /* room for the value of the answer's field */
/* Shorter messages are better sent plain: a packet's own head weighs more than what could be saved. */
#define WS_DEFLATE_LEAST 96

struct ws_deflate;
struct ws_deflate_pool;

/* What both sides keep to. */
struct ws_deflate_params {
    bool server_no_context_takeover, client_no_context_takeover;
    uint8_t server_max_window_bits, client_max_window_bits; /* 9..12; client: 8..15 */
};

/* One per worker: streams, scratch memory, the budget. NULL: out of memory. */
struct ws_deflate_pool *ws_deflate_pool_new(void);
/* After the last ws_deflate_free(). */
void ws_deflate_pool_free(struct ws_deflate_pool *pool);

/* Judges the value of one Sec-WebSocket-Extensions field (a list of offers, maybe of other extensions: RFC 6455 9.1,
 * quoted values allowed). True: *ret is what we keep to, after the first offer that we can accept, and `field` holds the
 * value of the answer's field, terminated, *ret_n bytes. False: nothing in it can be accepted (call with the next field of
 * that name; none: no extension). An offer is declined, not failed, when it has an unknown or repeated parameter, a
 * value out of 8..15 or with leading zeros, a value where none belongs, server_max_window_bits without one, or asks for
 * server_max_window_bits=8 (zlib cannot keep to that when deflating raw). A field that breaks the grammar before an
 * acceptable offer is declined as a whole. Depends on the budget left in `pool` (NULL: without a limit). An answer names
 * the window only of a side whose limit was offered (7.1.2.2 forbids it for the client's) and repeats what the offer
 * demands. */
bool ws_deflate_negotiate(const struct ws_deflate_pool *pool, struct span offers, struct ws_deflate_params *ret,
                          char field[WS_DEFLATE_FIELD], size_t *ret_n);

/* State of one connection; small until a stream is needed. Takes its part of the budget now. NULL: out of memory. */
struct ws_deflate *ws_deflate_new(struct ws_deflate_pool *pool, const struct ws_deflate_params *params);
/* Accepts NULL, and one in the middle of a message. */
void ws_deflate_free(struct ws_deflate *d);

/* Compresses one whole message (RFC 7692 7.2.1: without the trailing 00 00 ff ff; an empty message becomes one byte, 00).
 * *ret holds until the next call on this pool. 0, or -1: out of memory; *ret is untouched, the context is forgotten, and
 * the message may be sent uncompressed. */
int ws_deflate_compress(struct ws_deflate *d, struct span message, struct span *ret)
    __attribute__((warn_unused_result));

enum ws_inflated {
    WS_INFLATED,
    WS_INFLATE_TOO_BIG, /* more than `limit` bytes would be in *to */
    WS_INFLATE_BAD, /* not deflate, or cut off; RFC 7692 names no code: 1007, since the payload is not what it says */
    WS_INFLATE_NO_MEMORY
};

/* Inflates a piece of a message after what is in *to. `last`: the message ends with it: what was compressed must then
 * end where 00 00 ff ff was taken away (7.2.1), or with a final block. Never puts more than limit bytes into *to, nor asks
 * for much more memory than is used: the limit holds before memory is spent. A block with the final bit set inside a
 * message is legal (7.2.3.4): inflation continues after it with the same window. After anything but WS_INFLATED the
 * connection is failed: d is only to be freed. */
enum ws_inflated ws_deflate_inflate(struct ws_deflate *d, struct span piece, bool last, struct buf *to, size_t limit)
    __attribute__((warn_unused_result));

/* Bytes that are held while a message comes in pieces; 0 between messages. */
size_t ws_deflate_kept(const struct ws_deflate *d);
/* What is left of the budget of windows. */
size_t ws_deflate_budget_left(const struct ws_deflate_pool *pool);
/* What a connection with these parameters takes of it. */
size_t ws_deflate_budget_of(const struct ws_deflate_params *params);

#endif
