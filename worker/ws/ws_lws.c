/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws.c: the engine that owns the socket: libwebsockets, on plain TCP. The connection is lent to it once the client
 * has our 101, with a handshake of ours that is always the same, so that nothing of the client's head is parsed twice.
 * Must not be used on connections that have a transport other than TCP. */
#include "worker/ws/ws_lws.h"

#include "common/forked.h"

#include <stdlib.h>
#include <string.h>

/* --- out --- */

/* An unmasked frame with FIN (RFC 6455 5.2). */
static enum sent put(struct ws_link *link, uint8_t first_byte, struct span bytes)
{
    unsigned char header[10] = { first_byte };
    size_t n = 2;
    if (bytes.n < 126) {
        header[1] = (unsigned char)bytes.n;
    } else {
        int length_bytes = bytes.n < 65536 ? 2 : 8;
        header[1] = length_bytes == 2 ? 126 : 127;
        for (int i = length_bytes - 1; i >= 0; i--)
            header[n++] = (unsigned char)((uint64_t)bytes.n >> (8 * i));
    }
    struct iovec v[2] = { { header, n }, { (void *)(uintptr_t)bytes.p, bytes.n } };
    return conn_writev_deferred(link->conn, v, bytes.n ? 2 : 1);
}

static enum sent lane_send(struct ws_link *link, enum ws_opcode opcode, bool compressed, struct span bytes)
{
    return put(link, (uint8_t)(0x80 | (compressed ? 0x40 : 0) | opcode), bytes);
}

static enum sent lane_control(struct ws_link *link, enum ws_opcode opcode, struct span payload)
{
    struct wsl_lane *lane = link->data;
    if (lane->state == WSL_CLOSING)
        return SENT; /* libwebsockets sends its own Close frame */
    lane->said_close |= opcode == WS_OP_CLOSE;
    return put(link, (uint8_t)(0x80 | opcode), payload);
}

/* --- adoption --- */

static char *add(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

/* The handshake for libwebsockets and behind it what the client has sent already. *ret_n bytes, to be freed. */
static char *opening_bytes(struct wsl_lane *lane, size_t *ret_n)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: tine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n";
    static const char deflate[] = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    struct conn *c = lane->link->conn;
    struct span rest = buf_span(&c->in);
    char *p = malloc(sizeof head + sizeof deflate + 2 + rest.n), *end = p;
    if (!p)
        return NULL;
    end = add(end, head, sizeof head - 1);
    if (lane->link->deflate)
        end = add(end, deflate, sizeof deflate - 1);
    end = add(end, "\r\n", 2);
    if (rest.n)
        end = add(end, rest.p, rest.n);
    buf_release(&c->in);
    *ret_n = (size_t)(end - p);
    return p;
}

/* libwebsockets owns the descriptor from here on, even when it fails. */
static void adopt(struct wsl_lane *lane)
{
    struct wsl_worker *w = lane->worker;
    struct conn *c = lane->link->conn;
    size_t n;
    char *bytes = opening_bytes(lane, &n);
    if (!bytes) {
        conn_abort(c, false);
        return;
    }
    lane->fd = conn_lend(c);
    c->transport = &transport_lws;
    c->transport_data = lane;
    lane->state = WSL_OPEN;
    w->adopting = lane;
    lws_adopt_socket_vhost_readbuf(w->vhost, lane->fd, bytes, n);
    w->adopting = NULL;
    free(bytes);
    w->dirty = true;
    if (!lane->wsi)
        forked_disown(lane->fd);
    if (!lane->wsi && lane->state == WSL_OPEN && c->state != CONN_DEAD) {
        lane->state = WSL_CLOSED;
        ws_link_gone(lane->link);
    }
}

/* Those whose 101 or first messages the socket has not taken yet wait until it has. */
bool wsl_adopt_waiting(struct wsl_worker *w)
{
    struct wsl_lanes waiting = TAILQ_HEAD_INITIALIZER(waiting);
    struct wsl_lane *lane;
    bool some_wait = false;
    TAILQ_CONCAT(&waiting, &w->waiting, entry);
    while ((lane = TAILQ_FIRST(&waiting))) {
        struct conn *c = lane->link->conn;
        TAILQ_REMOVE(&waiting, lane, entry);
        TAILQ_INSERT_TAIL(&w->waiting, lane, entry);
        conn_flush(c);
        if (c->state != CONN_OPEN || conn_unsent(c)) {
            some_wait |= c->state == CONN_OPEN;
            continue;
        }
        TAILQ_REMOVE(&w->waiting, lane, entry);
        adopt(lane);
    }
    return some_wait;
}

/* --- life --- */

static int lane_open(struct ws_link *link, const struct ws_opening *opening)
{
    struct wsl_worker *w = link->shared;
    struct wsl_lane *lane = link->conn->fd < w->max_fds ? calloc(1, sizeof *lane) : NULL;
    if (!lane)
        return -1;
    lane->link = link;
    lane->worker = w;
    link->data = lane;
    TAILQ_INSERT_TAIL(&w->waiting, lane, entry);
    wsl_wake(w);
    return 0;
}

/* Before adoption: kept by the connection until then. */
static size_t lane_data(struct ws_link *link, char *p, size_t n)
{
    return 0;
}

static void lane_drained(struct ws_link *link)
{
    ws_link_drained(link);
}

static void set_reading(struct ws_link *link, bool on)
{
    struct wsl_lane *lane = link->data;
    lane->paused = !on;
    if (!lane->wsi || lane->state != WSL_OPEN)
        return;
    lws_rx_flow_control(lane->wsi, on);
    wsl_wake(lane->worker);
}

static void lane_pause(struct ws_link *link)
{
    set_reading(link, false);
}

static void lane_resume(struct ws_link *link)
{
    set_reading(link, true);
}

static void lane_end(struct ws_link *link)
{
    struct wsl_lane *lane = link->data;
    lane->deaf = true;
    if (lane->paused)
        set_reading(link, true); /* to see the peer's end */
    conn_close(link->conn);
}

/* Without this libwebsockets would first try to send what it has buffered. */
static void lane_drop(struct ws_link *link)
{
    struct wsl_lane *lane = link->data;
    lane->deaf = true;
    if (lane->wsi && lane->state != WSL_CLOSED)
        shutdown(lws_get_socket_fd(lane->wsi), SHUT_RDWR);
    conn_abort(link->conn, false);
}

void wsl_lane_unref(struct wsl_lane *lane)
{
    if (lane->link || lane->wsi)
        return;
    if (lane->is_doomed)
        TAILQ_REMOVE(&lane->worker->doomed, lane, entry);
    free(lane);
}

static void lane_free(struct ws_link *link)
{
    struct wsl_lane *lane = link->data;
    if (lane->state == WSL_WAITING)
        TAILQ_REMOVE(&lane->worker->waiting, lane, entry);
    lane->link = NULL;
    link->data = NULL;
    wsl_lane_unref(lane);
}

const struct ws_engine_ops ws_engine_lws = {
    .name = "libwebsockets",
    .owns_socket = true,
    .start = wsl_start,
    .stop = wsl_stop,
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
