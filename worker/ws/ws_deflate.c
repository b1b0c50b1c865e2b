/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_deflate.c: the streams of permessage-deflate: lent to connections, taken back from those that have not used theirs for
 * longest, see ws_deflate.h. The only place that calls zlib. */
#include "worker/ws/ws_deflate.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <zlib.h>

/* With small messages level 1 costs what level 3 does and saves nearly as much; with large ones it is a quarter cheaper.
 * A larger memory level saves nothing with a window of 12 bits. */
#define LEVEL 1
#define MEMORY_LEVEL 4
#define IDLE_MOST 8 /* streams without an owner that are kept for the next one */
#define SCRATCH_MOST (64u << 10) /* a larger one is given back at the next message */
#define INFLATE_STATE (10u << 10) /* beside the window */
#define PIECE_LEAST 1024
#define PIECE_MOST (64u << 10)

enum direction { IN, OUT };

struct stream {
    TAILQ_ENTRY(stream) link;
    z_stream z;
    struct ws_deflate *owner; /* whose context it holds; NULL: it has no owner */
    uint8_t bits;
};

/* Available: first those without an owner, then by the time of their last use. One that is in use is in no list. */
TAILQ_HEAD(stream_list, stream);

struct streams {
    struct stream_list list;
    unsigned n, n_idle; /* n counts those in use too */
};

struct ws_deflate_pool {
    struct streams of[2];
    size_t held; /* of the budget */
    struct buf scratch;
};

struct ws_deflate {
    struct ws_deflate_pool *pool;
    struct stream *stream[2]; /* that hold our context, or are in use */
    char *window; /* what the client may refer to when its stream was taken away */
    unsigned window_n;
    struct ws_deflate_params params;
    bool reading; /* in the middle of a message: stream[IN] is in use */
    bool at_end; /* after a final block */
};

/* --- one stream --- */

static bool keeps_context(const struct ws_deflate *d, enum direction dir)
{
    return dir == IN ? !d->params.client_no_context_takeover : !d->params.server_no_context_takeover;
}

static unsigned bits_of(const struct ws_deflate *d, enum direction dir)
{
    if (dir == OUT)
        return d->params.server_max_window_bits;
    /* Compressors built on zlib use 9 when they promise 8. */
    return d->params.client_max_window_bits < 9 ? 9 : d->params.client_max_window_bits;
}

static int start_stream(struct stream *s, enum direction dir, unsigned bits)
{
    s->bits = (uint8_t)bits;
    if (dir == IN)
        return inflateInit2(&s->z, -(int)bits) == Z_OK ? 0 : -1;
    return deflateInit2(&s->z, LEVEL, Z_DEFLATED, -(int)bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK ? 0 : -1;
}

static void free_stream(struct streams *of, struct stream *s, enum direction dir)
{
    if (dir == IN)
        inflateEnd(&s->z);
    else
        deflateEnd(&s->z);
    free(s);
    of->n--;
}

/* Makes a used stream as good as new. On failure it is gone. */
static int renew(struct streams *of, struct stream *s, enum direction dir, unsigned bits)
{
    if (dir == IN && inflateReset2(&s->z, -(int)bits) == Z_OK) {
        s->bits = (uint8_t)bits;
        return 0;
    }
    if (dir == OUT && s->bits == bits && deflateReset(&s->z) == Z_OK)
        return 0;
    if (dir == OUT) {
        deflateEnd(&s->z);
        s->z = (z_stream){ 0 };
        if (start_stream(s, dir, bits) == 0)
            return 0;
    }
    free_stream(of, s, dir);
    return -1;
}

static struct stream *make(struct streams *of, enum direction dir, unsigned bits)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    if (start_stream(s, dir, bits) < 0) {
        free(s);
        return NULL;
    }
    of->n++;
    return s;
}

/* Takes the context from its owner, which can continue without it. -1: out of memory, nothing was done. */
static int part(struct stream *s, enum direction dir)
{
    struct ws_deflate *owner = s->owner;
    uInt n = 0;
    if (dir == IN) {
        if (inflateGetDictionary(&s->z, NULL, &n) != Z_OK)
            return -1;
        char *window = n ? malloc(n) : NULL;
        if (n && !window)
            return -1;
        if (n && inflateGetDictionary(&s->z, (Bytef *)window, &n) != Z_OK) {
            free(window);
            return -1;
        }
        owner->window = window;
        owner->window_n = n;
    }
    owner->stream[dir] = NULL;
    s->owner = NULL;
    return 0;
}

/* --- lending --- */

static struct stream *take_from_list(struct streams *of, struct stream *s)
{
    TAILQ_REMOVE(&of->list, s, link);
    if (!s->owner)
        of->n_idle--;
    return s;
}

static struct stream *borrow(struct streams *of, enum direction dir, unsigned bits)
{
    struct stream *s = TAILQ_FIRST(&of->list);
    if (!s || (s->owner && of->n < WS_DEFLATE_STREAMS))
        return make(of, dir, bits);
    if (s->owner) {
        if (part(s, dir) < 0)
            return NULL;
    } else {
        of->n_idle--;
    }
    TAILQ_REMOVE(&of->list, s, link);
    return renew(of, s, dir, bits) == 0 ? s : NULL;
}

static void give_back_idle(struct streams *of, struct stream *s, enum direction dir)
{
    s->owner = NULL;
    if (of->n_idle >= IDLE_MOST || of->n > WS_DEFLATE_STREAMS) {
        free_stream(of, s, dir);
        return;
    }
    TAILQ_INSERT_HEAD(&of->list, s, link);
    of->n_idle++;
}

/* After use. */
static void put_stream(struct ws_deflate *d, enum direction dir)
{
    struct streams *of = &d->pool->of[dir];
    struct stream *s = d->stream[dir];
    if (keeps_context(d, dir) && (of->n <= WS_DEFLATE_STREAMS || part(s, dir) < 0)) {
        TAILQ_INSERT_TAIL(&of->list, s, link);
    } else {
        d->stream[dir] = NULL;
        give_back_idle(of, s, dir);
    }
}

/* For use: out of the list, with our context in it. -1: out of memory. */
static int get_stream(struct ws_deflate *d, enum direction dir)
{
    struct streams *of = &d->pool->of[dir];
    if (d->stream[dir]) {
        take_from_list(of, d->stream[dir]);
        return 0;
    }
    struct stream *s = borrow(of, dir, bits_of(d, dir));
    if (!s)
        return -1;
    if (dir == IN && d->window) {
        if (inflateSetDictionary(&s->z, (Bytef *)d->window, d->window_n) != Z_OK) {
            give_back_idle(of, s, dir);
            return -1;
        }
        free(d->window);
        d->window = NULL;
    }
    s->owner = d;
    d->stream[dir] = s;
    return 0;
}

static void discard(struct ws_deflate *d, enum direction dir, bool in_use)
{
    struct streams *of = &d->pool->of[dir];
    struct stream *s = d->stream[dir];
    if (!s)
        return;
    d->stream[dir] = NULL;
    if (!in_use)
        take_from_list(of, s);
    give_back_idle(of, s, dir);
}

/* --- life --- */

struct ws_deflate_pool *ws_deflate_pool_new(void)
{
    struct ws_deflate_pool *pool = calloc(1, sizeof *pool);
    if (pool) {
        TAILQ_INIT(&pool->of[IN].list);
        TAILQ_INIT(&pool->of[OUT].list);
    }
    return pool;
}

void ws_deflate_pool_free(struct ws_deflate_pool *pool)
{
    if (!pool)
        return;
    for (enum direction dir = IN; dir <= OUT; dir++) {
        for (struct stream *s; (s = TAILQ_FIRST(&pool->of[dir].list));) {
            take_from_list(&pool->of[dir], s); // NOLINT(clang-analyzer-unix.Malloc): the last one has left the list
            free_stream(&pool->of[dir], s, dir);
        }
    }
    buf_release(&pool->scratch);
    free(pool);
}

size_t ws_deflate_budget_of(const struct ws_deflate_params *params)
{
    unsigned bits = params->client_max_window_bits < 9 ? 9 : params->client_max_window_bits;
    return params->client_no_context_takeover ? 0 : (size_t)1 << bits;
}

size_t ws_deflate_budget_left(const struct ws_deflate_pool *pool)
{
    return pool->held < WS_DEFLATE_BUDGET ? WS_DEFLATE_BUDGET - pool->held : 0;
}

struct ws_deflate *ws_deflate_new(struct ws_deflate_pool *pool, const struct ws_deflate_params *params)
{
    struct ws_deflate *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->pool = pool;
    d->params = *params;
    pool->held += ws_deflate_budget_of(params);
    return d;
}

void ws_deflate_free(struct ws_deflate *d)
{
    if (!d)
        return;
    discard(d, IN, d->reading);
    discard(d, OUT, false);
    d->pool->held -= ws_deflate_budget_of(&d->params);
    free(d->window);
    free(d);
}

/* --- out --- */

/* Deflates up to and with the empty block of a sync flush into scratch memory. */
static int deflate_into(z_stream *z, struct span message, struct buf *to)
{
    size_t left = message.n;
    z->next_in = (Bytef *)message.p;
    z->avail_in = 0;
    do {
        if (!z->avail_in && left) {
            z->avail_in = left > UINT_MAX / 2 ? UINT_MAX / 2 : (uInt)left;
            left -= z->avail_in;
        }
        size_t room = z->avail_in / 2u + 64;
        char *p = buf_room(to, room);
        if (!p)
            return -1;
        z->next_out = (Bytef *)p;
        z->avail_out = (uInt)room;
        if (deflate(z, left ? Z_NO_FLUSH : Z_SYNC_FLUSH) == Z_STREAM_ERROR)
            return -1;
        buf_grew(to, room - z->avail_out);
    } while (z->avail_in || left || !z->avail_out);
    return 0;
}

int ws_deflate_compress(struct ws_deflate *d, struct span message, struct span *ret)
{
    struct buf *scratch = &d->pool->scratch;
    if (!message.n) {
        *ret = (struct span){ "", 1 }; /* 7.2.3.6 */
        return 0;
    }
    if (scratch->cap > SCRATCH_MOST)
        buf_release(scratch);
    scratch->start = scratch->end = 0;
    if (get_stream(d, OUT) < 0)
        return -1;
    if (deflate_into(&d->stream[OUT]->z, message, scratch) < 0) {
        discard(d, OUT, true);
        return -1;
    }
    put_stream(d, OUT);
    *ret = (struct span){ scratch->p, buf_len(scratch) - 4 };
    return 0;
}

/* --- in --- */

/* A fresh state after a final block, with what the peer may still refer to. */
static int continue_after_end(struct stream *s)
{
    Bytef window[1u << 15];
    uInt n = sizeof window;
    if (inflateGetDictionary(&s->z, window, &n) != Z_OK || inflateReset(&s->z) != Z_OK)
        return -1;
    return inflateSetDictionary(&s->z, window, n) == Z_OK ? 0 : -1;
}

/* One call of zlib into as much room as the limit leaves, and one byte more to see that it is broken. */
static enum ws_inflated inflate_step(struct ws_deflate *d, struct buf *to, size_t limit)
{
    z_stream *z = &d->stream[IN]->z;
    size_t left = limit > buf_len(to) ? limit - buf_len(to) : 0, room = (size_t)z->avail_in * 4;
    room = room < PIECE_LEAST ? PIECE_LEAST : room > PIECE_MOST ? PIECE_MOST : room;
    if (room > left)
        room = left + 1;
    char *p = buf_room(to, room);
    if (!p)
        return WS_INFLATE_NO_MEMORY;
    z->next_out = (Bytef *)p;
    z->avail_out = (uInt)room;
    int rc = inflate(z, Z_SYNC_FLUSH);
    size_t made = room - z->avail_out;
    if (rc == Z_MEM_ERROR)
        return WS_INFLATE_NO_MEMORY;
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return WS_INFLATE_BAD;
    if (made > left)
        return WS_INFLATE_TOO_BIG;
    buf_grew(to, made);
    d->at_end = rc == Z_STREAM_END;
    return WS_INFLATED;
}

static enum ws_inflated inflate_all(struct ws_deflate *d, struct span piece, struct buf *to, size_t limit)
{
    z_stream *z = &d->stream[IN]->z;
    enum ws_inflated done = WS_INFLATED;
    z->next_in = (Bytef *)piece.p;
    z->avail_in = 0;
    z->avail_out = 1;
    /* Out of input, and the last call left room: nothing more comes. */
    while (done == WS_INFLATED && (piece.n || z->avail_in || (!z->avail_out && !d->at_end))) {
        if (!z->avail_in && piece.n) {
            z->avail_in = piece.n > UINT_MAX / 8 ? UINT_MAX / 8 : (uInt)piece.n;
            piece.n -= z->avail_in;
        }
        if (d->at_end && continue_after_end(d->stream[IN]) < 0)
            return WS_INFLATE_NO_MEMORY;
        done = inflate_step(d, to, limit);
    }
    return done;
}

size_t ws_deflate_kept(const struct ws_deflate *d)
{
    return d->reading ? ((size_t)1 << bits_of(d, IN)) + INFLATE_STATE : 0;
}

/* A whole message stops before the lengths of its last, empty block, which RFC 7692 7.2.1 takes off: they are
 * appended here. */
static enum ws_inflated end_message(struct ws_deflate *d, struct buf *to, size_t limit)
{
    enum ws_inflated done = WS_INFLATED;
    if (!d->at_end) {
        if (!inflateSyncPoint(&d->stream[IN]->z))
            return WS_INFLATE_BAD;
        done = inflate_all(d, (struct span){ "\0\0\xff\xff", 4 }, to, limit);
    }
    if (done == WS_INFLATED && d->at_end && continue_after_end(d->stream[IN]) < 0)
        return WS_INFLATE_NO_MEMORY;
    return done;
}

enum ws_inflated ws_deflate_inflate(struct ws_deflate *d, struct span piece, bool last, struct buf *to, size_t limit)
{
    if (!d->reading) {
        if (get_stream(d, IN) < 0)
            return WS_INFLATE_NO_MEMORY;
        d->reading = true;
        d->at_end = false;
    }
    enum ws_inflated done = inflate_all(d, piece, to, limit);
    if (done == WS_INFLATED && last) {
        done = end_message(d, to, limit);
        if (done == WS_INFLATED) {
            d->reading = false;
            put_stream(d, IN);
        }
    }
    return done;
}
