/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_session_priv.h: what the files of a session share. */
#ifndef TINE_WS_WS_SESSION_PRIV_H
#define TINE_WS_WS_SESSION_PRIV_H

#include <stdint.h>

#include "common/buf.h"
#include "conf/conf.h"
#include "worker/net/conn.h"
#include "worker/ws/ws.h"
#include "worker/ws/ws_engine.h"
#include "worker/ws/ws_utf8.h"

#define WS_CLOSE_MS 5000 /* for the peer's answer to our Close frame */

struct proto_ops;
struct ws_deflate;
struct ws_worker;

/* Only forward. */
enum ws_state {
    WS_STATE_OPEN,
    WS_STATE_CLOSING, /* our Close frame was sent, the peer's is to come: nothing else counts any more */
    WS_STATE_ENDED, /* the user knows; the connection goes as soon as it can */
};

/* Why nothing is read from the socket; bits. */
enum ws_paused {
    WS_PAUSED_QUEUE = 1, /* the user has not taken what was delivered */
    WS_PAUSED_OUTPUT = 2, /* answers to pings wait for a peer that does not read */
};

/* One connection: small, since thousands of them sit idle. */
struct ws {
    struct ws_link link; /* first */
    const struct ws_user_ops *ops;
    void *user;
    struct ws_worker *worker;
    struct buf message; /* of the message that comes in pieces, inflated */
    struct ws_deflate *deflate; /* NULL: not agreed on */
    size_t kept; /* of what is kept for the client: a message that is not whole */
    size_t untaken_bytes;
    uint32_t untaken; /* messages */
    uint32_t ping; /* payload of the last one that we sent */
    enum ws_state state;
    uint16_t code; /* of the Close frame that we sent */
    struct ws_utf8 utf8; /* of the text that comes in pieces */
    uint8_t paused;
    bool pong_due;
    bool later; /* the user waits for on_drained */
};

static inline struct ws *ws_of(struct ws_link *link)
{
    return (struct ws *)link;
}

static inline const struct conf_websocket *ws_conf_of(const struct ws *ws)
{
    return &ws->link.conn->net->conf->websocket;
}

extern const struct proto_ops proto_ws; /* ws_session.c */

/* ws_session.c: counts what is kept of a message that is not whole; the second one says false, and counts nothing, where
 * that is too much. */
void ws_session_weigh(struct ws *ws);
bool ws_session_hold(struct ws *ws) __attribute__((warn_unused_result));
/* ws_session.c: starts pings; as soon as the engine is open. */
void ws_session_begin(struct ws *ws);
/* Our Close frame is the last word (RFC 6455 7.1.7). Always false: what an event function returns then. `reason` is
 * plain text. */
bool ws_session_fail(struct ws *ws, unsigned code, const char *reason);
void ws_session_pause(struct ws *ws, enum ws_paused why);
void ws_session_resume(struct ws *ws, enum ws_paused why);

#endif
