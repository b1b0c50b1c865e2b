/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_wslay.c: the engine over a connection: wslay reads and writes frames, conn.h moves bytes. Works over every transport.
 *
 * A frame context of wslay is 4 KB, so idle connections have none: one is borrowed from the worker's pool when bytes come
 * and given back when the last of them was the end of a frame. All connections of a worker send through one context, since
 * a frame is always taken whole. What wslay does not check (masks, reserved bits, opcodes, the order of fragments) is
 * checked here. Must never keep bytes for which the session has asked to pause: they go back to the connection. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <wslay/wslay.h>

#include "worker/net/conn.h"
#include "worker/ws/ws_engine.h"

#define FREE_READERS 64
#define CONTROL_MAX 125

/* A wslay context for reading, and where its frame is. */
struct reader {
    wslay_frame_context_ptr context;
    const char *p; /* bytes that it was not given yet */
    size_t n;
    uint64_t held; /* bytes that it was given after the last whole frame and what was delivered of the present one */
    uint64_t left; /* bytes of the present frame's payload that are to come */
    bool in_frame;
    uint8_t opcode, fin; /* of the present frame */
    uint8_t n_control;
    char control[CONTROL_MAX];
    SLIST_ENTRY(reader) free;
};

/* Per worker. */
struct pool {
    SLIST_HEAD(, reader) readers;
    unsigned n_readers;
    wslay_frame_context_ptr writer;
    struct conn *to; /* whose frame is being written */
    enum sent result;
    char header[16];
    size_t n_header;
};

/* Per connection. */
struct lane {
    struct reader *reader; /* NULL: between frames, nothing kept */
    bool in_message, first, compressed;
    bool paused;
    bool deaf; /* the session wants nothing more */
    enum ws_kind kind;
};

/* --- contexts --- */

static ssize_t give_bytes(uint8_t *to, size_t room, int flags, void *arg)
{
    struct reader *rd = arg;
    size_t n = rd->n < room ? rd->n : room;
    if (n)
        memcpy(to, rd->p, n);
    rd->p += n;
    rd->n -= n;
    rd->held += n;
    return (ssize_t)n;
}

static struct reader *reader_new(void)
{
    static const struct wslay_frame_callbacks callbacks = { .recv_callback = give_bytes };
    struct reader *rd = calloc(1, sizeof *rd);
    if (rd && wslay_frame_context_init(&rd->context, &callbacks, rd) != 0) {
        free(rd);
        rd = NULL;
    }
    return rd;
}

static void reader_free(struct reader *rd)
{
    wslay_frame_context_free(rd->context);
    free(rd);
}

static struct reader *borrow(struct pool *pool)
{
    struct reader *rd = SLIST_FIRST(&pool->readers);
    if (!rd)
        return reader_new();
    SLIST_REMOVE_HEAD(&pool->readers, free);
    pool->n_readers--;
    return rd;
}

/* Only one that is between frames and holds nothing is as good as new. */
static void give_back(struct pool *pool, struct lane *lane)
{
    struct reader *rd = lane->reader;
    lane->reader = NULL;
    if (rd->in_frame || rd->held || pool->n_readers >= FREE_READERS) {
        reader_free(rd);
        return;
    }
    SLIST_INSERT_HEAD(&pool->readers, rd, free);
    pool->n_readers++;
}

/* --- out --- */

/* Header first; if a payload follows (WSLAY_MSG_MORE), both are given to the connection together. */
static ssize_t put_frame(const uint8_t *p, size_t n, int flags, void *arg)
{
    struct pool *pool = arg;
    if (flags & WSLAY_MSG_MORE) {
        assert(n <= sizeof pool->header);
        memcpy(pool->header, p, n);
        pool->n_header = n;
        return (ssize_t)n;
    }
    struct iovec v[2] = { { pool->header, pool->n_header }, { (void *)(uintptr_t)p, n } };
    pool->result = conn_writev_deferred(pool->to, v, 2);
    pool->n_header = 0;
    return (ssize_t)n; /* a connection that is lost takes everything */
}

static enum sent write_frame(struct ws_link *link, uint8_t opcode, uint8_t rsv, struct span bytes)
{
    struct pool *pool = link->shared;
    struct wslay_frame_iocb frame = { .fin = 1,
                                      .rsv = rsv,
                                      .opcode = opcode,
                                      .payload_length = bytes.n,
                                      .data = (const uint8_t *)bytes.p,
                                      .data_length = bytes.n };
    pool->to = link->conn;
    pool->result = GONE;
    wslay_frame_send(pool->writer, &frame);
    return pool->result;
}

static enum sent lane_send(struct ws_link *link, enum ws_opcode opcode, bool compressed, struct span bytes)
{
    return write_frame(link, (uint8_t)opcode, compressed ? WSLAY_RSV1_BIT : WSLAY_RSV_NONE, bytes);
}

static enum sent lane_control(struct ws_link *link, enum ws_opcode opcode, struct span payload)
{
    return write_frame(link, (uint8_t)opcode, WSLAY_RSV_NONE, payload);
}

/* --- in --- */

static bool failed(struct ws_link *link, const char *why)
{
    struct lane *lane = link->data;
    lane->deaf = true;
    return ws_link_failed(link, why);
}

/* RFC 6455 5.1, 5.2, 5.4, 5.5; RFC 7692 6. */
static bool frame_begins(struct ws_link *link, struct reader *rd, const struct wslay_frame_iocb *f)
{
    struct lane *lane = link->data;
    bool data = f->opcode == WSLAY_TEXT_FRAME || f->opcode == WSLAY_BINARY_FRAME;
    bool control = f->opcode >= WSLAY_CONNECTION_CLOSE && f->opcode <= WSLAY_PONG;
    if (!f->mask)
        return failed(link, "frame without mask");
    if (!data && !control && f->opcode != WSLAY_CONTINUATION_FRAME)
        return failed(link, "unknown opcode");
    if (f->rsv && !(f->rsv == WSLAY_RSV1_BIT && data && link->deflate))
        return failed(link, "reserved bit set");
    if (f->opcode == WSLAY_CONTINUATION_FRAME && !lane->in_message)
        return failed(link, "continuation of nothing");
    if (data && lane->in_message)
        return failed(link, "message inside a message");
    rd->in_frame = true;
    rd->opcode = f->opcode;
    rd->fin = f->fin;
    rd->left = f->payload_length;
    rd->n_control = 0;
    if (data) {
        lane->in_message = lane->first = true;
        lane->compressed = f->rsv != 0;
        lane->kind = f->opcode == WSLAY_TEXT_FRAME ? WS_TEXT : WS_BINARY;
    }
    return true;
}

static bool tell_piece(struct ws_link *link, struct reader *rd, const struct wslay_frame_iocb *f)
{
    struct lane *lane = link->data;
    struct ws_piece piece = { .kind = lane->kind,
                              .first = lane->first,
                              .last = rd->fin && !rd->left,
                              .compressed = lane->compressed,
                              .p = (char *)(uintptr_t)f->data,
                              .n = f->data_length };
    lane->first = false;
    if (piece.last)
        lane->in_message = false;
    return ws_link_piece(link, &piece);
}

static bool tell_control(struct ws_link *link, struct reader *rd)
{
    struct span payload = { rd->control, rd->n_control };
    switch (rd->opcode) {
    case WSLAY_PING:
        return ws_link_ping(link, payload);
    case WSLAY_PONG:
        return ws_link_pong(link, payload);
    default:
        return ws_link_close(link, payload);
    }
}

static bool take_chunk(struct ws_link *link, struct reader *rd, const struct wslay_frame_iocb *f)
{
    bool control = wslay_is_ctrl_frame(rd->opcode);
    rd->left -= f->data_length;
    rd->in_frame = rd->left > 0;
    if (!control)
        return tell_piece(link, rd, f);
    memcpy(rd->control + rd->n_control, f->data, f->data_length);
    rd->n_control += (uint8_t)f->data_length;
    return rd->in_frame ? true : tell_control(link, rd);
}

static size_t header_size(const struct wslay_frame_iocb *f)
{
    return 2 + (f->payload_length < 126 ? 0 : f->payload_length < 65536 ? 2 : 8) + (f->mask ? 4 : 0);
}

/* One step of wslay. False: no more can be done with what there is. */
static bool receive_frame(struct ws_link *link, struct reader *rd)
{
    struct lane *lane = link->data;
    struct wslay_frame_iocb f = { 0 };
    ssize_t k = wslay_frame_recv(rd->context, &f);
    if (k == WSLAY_ERR_WANT_READ)
        return false;
    if (k < 0) {
        failed(link, "malformed frame header");
        return false;
    }
    if (!rd->in_frame) {
        rd->held -= header_size(&f);
        if (!frame_begins(link, rd, &f))
            return false;
    }
    rd->held -= f.data_length;
    if (!take_chunk(link, rd, &f))
        lane->deaf = true;
    return !lane->deaf && link->conn->state == CONN_OPEN;
}

/* Paused between frames: what comes next goes back to the connection. Returns how many bytes. */
static size_t take_back(struct ws_link *link, struct reader *rd)
{
    struct lane *lane = link->data;
    size_t back = rd->n + (size_t)rd->held;
    give_back(link->shared, lane);
    return back;
}

static size_t lane_data(struct ws_link *link, char *p, size_t n)
{
    struct lane *lane = link->data;
    if (lane->deaf)
        return n;
    if (!lane->reader && !(lane->reader = borrow(link->shared))) {
        conn_abort(link->conn, false);
        return n;
    }
    struct reader *rd = lane->reader;
    rd->p = p;
    rd->n = n;
    while (receive_frame(link, rd)) {
        if (lane->paused && !rd->in_frame)
            return n - take_back(link, rd);
    }
    if (lane->deaf || link->conn->state != CONN_OPEN)
        return n;
    if (!rd->in_frame && !rd->held)
        give_back(link->shared, lane);
    return n;
}

static void lane_drained(struct ws_link *link)
{
    ws_link_drained(link);
}

/* --- life --- */

static void lane_pause(struct ws_link *link)
{
    ((struct lane *)link->data)->paused = true;
    conn_pause(link->conn);
}

static void lane_resume(struct ws_link *link)
{
    ((struct lane *)link->data)->paused = false;
    conn_resume(link->conn);
}

static int lane_open(struct ws_link *link, const struct ws_opening *opening)
{
    link->data = calloc(1, sizeof(struct lane));
    return link->data ? 0 : -1;
}

static void lane_end(struct ws_link *link)
{
    ((struct lane *)link->data)->deaf = true;
    conn_close(link->conn);
}

static void lane_drop(struct ws_link *link)
{
    ((struct lane *)link->data)->deaf = true;
    conn_abort(link->conn, false);
}

static void lane_free(struct ws_link *link)
{
    struct lane *lane = link->data;
    if (lane->reader)
        give_back(link->shared, lane);
    free(lane);
    link->data = NULL;
}

static void *pool_start(struct net *net)
{
    static const struct wslay_frame_callbacks callbacks = { .send_callback = put_frame };
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    SLIST_INIT(&pool->readers);
    if (wslay_frame_context_init(&pool->writer, &callbacks, pool) == 0)
        return pool;
    free(pool);
    return NULL;
}

static void pool_stop(void *shared)
{
    struct pool *pool = shared;
    struct reader *rd;
    while ((rd = SLIST_FIRST(&pool->readers))) {
        SLIST_REMOVE_HEAD(&pool->readers, free);
        reader_free(rd);
    }
    wslay_frame_context_free(pool->writer);
    free(pool);
}

const struct ws_engine_ops ws_engine_wslay = {
    .name = "wslay",
    .start = pool_start,
    .stop = pool_stop,
    .open = lane_open,
    .send = lane_send,
    .control = lane_control,
    .pause = lane_pause,
    .resume = lane_resume,
    .end = lane_end,
    .drop = lane_drop,
    .free = lane_free,
    .on_data = lane_data,
    .on_drained = lane_drained,
};
