/* ws_deflate.h: permessage-deflate (RFC 7692) over zlib: what is agreed on, and messages in and out. Used by the session
 * for every engine; knows no frames and no connections.
 *
 * Memory: a zlib stream is 10 to 300 KB, so none is held by an idle connection unless context take-over needs it. A
 * direction without take-over borrows a stream of the pool for one message (in: from the first piece of a message to its
 * last; out: within one call). Take-over is granted out of a budget per pool (WS_DEFLATE_BUDGET); when that is spent,
 * further connections are told no_context_takeover for the direction, which a server may always ask for
 * (RFC 7692 7.1.1). Out: window at most WS_DEFLATE_WINDOW bits and a memory level to fit; the client's window is asked
 * to be as small only if the client allows it (client_max_window_bits in its offer).
 */
#ifndef TINE_WS_WS_DEFLATE_H
#define TINE_WS_WS_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/span.h"

#define WS_DEFLATE_BUDGET (16u << 20) /* bytes of streams held by connections, per pool */
#define WS_DEFLATE_WINDOW 12          /* bits */
#define WS_DEFLATE_FIELD 160          /* room for the value of the answer's field */

struct ws_deflate;
struct ws_deflate_pool;

/* What both sides keep to. */
struct ws_deflate_params {
    bool server_no_context_takeover, client_no_context_takeover;
    uint8_t server_max_window_bits, client_max_window_bits; /* 9..15; client: 8..15 */
};

/* One per worker: idle streams (a few of each kind), scratch memory, the budget. NULL: out of memory. */
struct ws_deflate_pool *ws_deflate_pool_new(void);
/* After the last ws_deflate_free(). */
void ws_deflate_pool_free(struct ws_deflate_pool *pool);

/* Judges the value of one Sec-WebSocket-Extensions field (a list of offers, maybe of other extensions: RFC 6455 9.1,
 * quoted values allowed). True: *ret is what we keep to, after the first offer that we can accept, and `field` holds the
 * value of the answer's field, terminated, *ret_n bytes. False: nothing in it can be accepted (call with the next field of
 * that name; none: no extension). An offer is declined, not failed, when it has an unknown or repeated parameter, a
 * value out of 8..15 or with leading zeros, a value where none belongs, server_max_window_bits without one, or asks for
 * server_max_window_bits=8 (zlib cannot keep to that when deflating raw). Depends on the budget left in `pool` (NULL:
 * without a limit). An answer names no parameter that the client's offer does not allow (7.1.2.2: client_max_window_bits
 * only if offered) and repeats what the offer demands. */
bool ws_deflate_negotiate(const struct ws_deflate_pool *pool, struct span offers, struct ws_deflate_params *ret,
                          char field[WS_DEFLATE_FIELD], size_t *ret_n);

/* State of one connection; small until a stream is needed. Takes its part of the budget now. NULL: out of memory. */
struct ws_deflate *ws_deflate_new(struct ws_deflate_pool *pool, const struct ws_deflate_params *params);
/* Accepts NULL, and one in the middle of a message. */
void ws_deflate_free(struct ws_deflate *d);

/* Compresses one whole message (RFC 7692 7.2.1: without the trailing 00 00 ff ff; an empty message becomes one byte, 00).
 * *ret holds until the next call on this pool. 0, or -1: out of memory; the message may then be sent uncompressed unless
 * the stream has a context: that context is thrown away, which the peer's inflation survives (a fresh stream refers to
 * nothing before it). */
int ws_deflate_compress(struct ws_deflate *d, struct span message, struct span *ret) __attribute__((warn_unused_result));

enum ws_inflated {
    WS_INFLATED,
    WS_INFLATE_TOO_BIG,  /* more than `limit` bytes would be in *to */
    WS_INFLATE_BAD,      /* not deflate, or bytes behind its end that are no further block */
    WS_INFLATE_NO_MEMORY
};

/* Inflates a piece of a message behind what is in *to. `last`: the message ends with it (the tail is put behind, 7.2.2).
 * Never puts more than limit bytes into *to, nor asks for much more memory than is used: the limit holds before memory is
 * spent. A block with the final bit set inside a message is legal (7.2.3.4): inflation goes on behind it with a fresh
 * state. After anything but WS_INFLATED the connection is failed: d is only to be freed. */
enum ws_inflated ws_deflate_inflate(struct ws_deflate *d, struct span piece, bool last, struct buf *to, size_t limit)
    __attribute__((warn_unused_result));

#endif
