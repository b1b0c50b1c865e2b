/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws.c: the engine that owns the socket, as the session sees it: libwebsockets, on plain TCP. Must not be used on
 * connections that have a transport other than TCP. */
#include "worker/ws/ws_lws_priv.h"

#include <stdlib.h>

/* --- out --- */

/* An unmasked frame with FIN (RFC 6455 5.2). */
static enum sent send_frame(struct ws_link *link, uint8_t first_byte, struct span bytes)
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
    return send_frame(link, (uint8_t)(0x80 | (compressed ? 0x40 : 0) | opcode), bytes);
}

static enum sent lane_control(struct ws_link *link, enum ws_opcode opcode, struct span payload)
{
    struct wsl_lane *lane = link->data;
    if (lane->state == WSL_CLOSING)
        return SENT; /* libwebsockets sends its own Close frame */
    lane->said_close |= opcode == WS_OP_CLOSE;
    return send_frame(link, (uint8_t)(0x80 | opcode), payload);
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
