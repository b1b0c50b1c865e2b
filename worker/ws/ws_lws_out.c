/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws_out.c: the transport under a lent connection: what conn.h writes leaves through libwebsockets, which may have
 * its own bytes (pongs) to put between frames. Never gives it more while it holds bytes that the socket did not take,
 * so it holds at most one piece. Reading is libwebsockets' business. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "worker/net/transport.h"
#include "worker/ws/ws_lws_priv.h"

static ssize_t lws_out_read(struct conn *c, void *p, size_t n)
{
    errno = EAGAIN;
    return -1;
}

/* The piece of v that begins at `at`: where it is, or put together. */
static struct span piece_at(struct wsl_worker *w, const struct iovec *v, int n, size_t at)
{
    size_t have = 0;
    for (int i = 0; i < n; i++) {
        if (at >= v[i].iov_len) {
            at -= v[i].iov_len;
            continue;
        }
        const char *p = (const char *)v[i].iov_base + at;
        size_t k = v[i].iov_len - at;
        at = 0;
        if (k > WSL_PIECE - have)
            k = WSL_PIECE - have;
        if (!have && (i == n - 1 || k == WSL_PIECE))
            return (struct span){ p, k };
        memcpy(w->piece + have, p, k);
        have += k;
        if (have == WSL_PIECE)
            break;
    }
    return (struct span){ w->piece, have };
}

static ssize_t lws_out_writev(struct conn *c, const struct iovec *v, int n)
{
    struct wsl_lane *lane = c->transport_data;
    size_t sent = 0;
    struct span piece;
    if (!lane->wsi || lane->state == WSL_CLOSED) {
        errno = EPIPE;
        return -1;
    }
    while (!lws_partial_buffered(lane->wsi)) {
        piece = piece_at(lane->worker, v, n, sent);
        if (!piece.n)
            return (ssize_t)sent;
        int k = lws_write(lane->wsi, (unsigned char *)(uintptr_t)piece.p, piece.n, LWS_WRITE_HTTP);
        if (k < 0) {
            errno = EPIPE;
            return -1;
        }
        sent += (size_t)k;
    }
    lws_callback_on_writable(lane->wsi);
    wsl_wake(lane->worker);
    if (sent)
        return (ssize_t)sent;
    errno = EAGAIN;
    return -1;
}

/* Its Close frame is still to be sent where libwebsockets closes by itself. */
static void lws_out_shutdown(struct conn *c)
{
    struct wsl_lane *lane = c->transport_data;
    if (lane->wsi && lane->state == WSL_OPEN)
        shutdown(lws_get_socket_fd(lane->wsi), SHUT_WR);
}

static void lws_out_done(struct conn *c)
{
    struct wsl_lane *lane = c->transport_data;
    lane->deaf = true;
    wsl_doom(lane);
}

const struct transport_ops transport_lws = {
    .name = "libwebsockets",
    .read = lws_out_read,
    .writev = lws_out_writev,
    .shutdown = lws_out_shutdown,
    .done = lws_out_done,
};
