/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws_adopt.c: lends a connection to libwebsockets once the client has our 101, with a handshake of ours that is always
 * the same, so that nothing of the client's head is parsed twice. */
#include <stdlib.h>
#include <string.h>

#include "common/forked.h"
#include "worker/ws/ws_lws_priv.h"

static char *append(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

/* The handshake for libwebsockets, then what the client has sent already. *ret_n bytes, to be freed. */
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
    end = append(end, head, sizeof head - 1);
    if (lane->link->deflate)
        end = append(end, deflate, sizeof deflate - 1);
    end = append(end, "\r\n", 2);
    if (rest.n)
        end = append(end, rest.p, rest.n);
    buf_release(&c->in);
    *ret_n = (size_t)(end - p);
    return p;
}

/* libwebsockets owns the descriptor from here on, even when it fails. */
static void adopt_lane(struct wsl_lane *lane)
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
    wsl_set_state(lane, WSL_OPEN);
    w->adopting = lane;
    lws_adopt_socket_vhost_readbuf(w->vhost, lane->fd, bytes, n);
    w->adopting = NULL;
    free(bytes);
    w->dirty = true;
    if (!lane->wsi)
        forked_disown(lane->fd);
    if (!lane->wsi && lane->state == WSL_OPEN && c->state != CONN_DEAD) {
        wsl_set_state(lane, WSL_CLOSED);
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
        adopt_lane(lane);
    }
    return some_wait;
}
