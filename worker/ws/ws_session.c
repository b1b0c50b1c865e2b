/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_session.c: the life of an open WebSocket: pings, closing, back-pressure; the same over every engine. Messages are
 * ws_message.c's. The end is reported to the user once, from the loop. */
#include "worker/ws/ws_session_priv.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/handler.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"
#include "worker/ws/ws_deflate.h"

struct conn *ws_conn(const struct ws *ws)
{
    return ws->link.conn;
}

void *ws_user(const struct ws *ws)
{
    return ws->user;
}

bool ws_code_is_good(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* --- what is kept --- */

static size_t weight(const struct ws *ws)
{
    return ws->message.cap + (ws->deflate ? ws_deflate_kept(ws->deflate) : 0);
}

void ws_session_weigh(struct ws *ws)
{
    conn_keep(ws->link.conn, &ws->kept, weight(ws));
}

bool ws_session_hold(struct ws *ws)
{
    return conn_hold(ws->link.conn, &ws->kept, weight(ws));
}

/* --- the end --- */

static void session_finish(struct ws *ws, unsigned code, struct span reason)
{
    if (ws->state == WS_STATE_ENDED)
        return;
    ws->state = WS_STATE_ENDED;
    score_add32(&ws->link.conn->net->score->websockets, -1);
    conn_no_deadline(ws->link.conn);
    buf_release(&ws->message);
    ws_session_weigh(ws);
    ws->ops->on_close(ws, code, reason);
}

static void send_close(struct ws *ws, unsigned code, struct span reason)
{
    char payload[125] = { (char)(code >> 8), (char)code };
    if (reason.n)
        memcpy(payload + 2, reason.p, reason.n);
    ws->code = (uint16_t)code;
    (void)!ws->link.engine->control(&ws->link, WS_OP_CLOSE, (struct span){ payload, reason.n + 2 });
}

bool ws_session_fail(struct ws *ws, unsigned code, const char *reason)
{
    log_debug("WebSocket ended with %u %s", code, reason);
    if (ws->state == WS_STATE_ENDED)
        return false;
    if (ws->state == WS_STATE_OPEN)
        send_close(ws, code, span_of(reason));
    else
        code = ws->code;
    ws->link.conn->linger = true;
    ws->link.engine->end(&ws->link);
    session_finish(ws, code, span_of(reason));
    return false;
}

static void begin_close(struct ws *ws, unsigned code, struct span reason)
{
    if (ws->state != WS_STATE_OPEN)
        return;
    send_close(ws, code, reason);
    ws->state = WS_STATE_CLOSING;
    buf_release(&ws->message);
    ws_session_weigh(ws);
    conn_set_deadline(ws->link.conn, WS_CLOSE_MS);
    /* The answer comes after whatever was not read. */
    if (ws->paused) {
        ws->paused = 0;
        ws->link.engine->resume(&ws->link);
    }
}

bool ws_close(struct ws *ws, unsigned code, struct span reason)
{
    if (!ws_code_is_good(code) || reason.n > 123 || !ws_utf8_is_good(reason))
        return false;
    begin_close(ws, code, reason);
    return true;
}

bool ws_link_close(struct ws_link *link, struct span payload)
{
    struct ws *ws = ws_of(link);
    unsigned code = 1005; /* none given (RFC 6455 7.1.5) */
    struct span reason = { "", 0 };
    if (ws->state == WS_STATE_ENDED)
        return false;
    if (payload.n == 1)
        return ws_session_fail(ws, 1002, "Close frame of one byte");
    if (payload.n) {
        code = (unsigned)(uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1];
        reason = (struct span){ payload.p + 2, payload.n - 2 };
        if (!ws_code_is_good(code))
            return ws_session_fail(ws, 1002, "Close frame with a code that must not be sent");
        if (!ws_utf8_is_good(reason))
            return ws_session_fail(ws, 1007, "Close frame whose reason is no UTF-8");
    }
    if (ws->state == WS_STATE_OPEN)
        (void)!link->engine->control(link, WS_OP_CLOSE, (struct span){ payload.p, payload.n ? 2 : 0 });
    else
        code = ws->code, reason.n = 0;
    link->engine->end(link);
    session_finish(ws, code, reason);
    return false;
}

bool ws_link_failed(struct ws_link *link, const char *why)
{
    return ws_session_fail(ws_of(link), 1002, why);
}

void ws_link_gone(struct ws_link *link)
{
    session_finish(ws_of(link), 1006, SPAN(""));
    conn_abort(link->conn, false);
}

/* --- pings --- */

static void await_ping_time(struct ws *ws)
{
    uint64_t interval = ws_conf_of(ws)->ping_interval;
    if (interval)
        conn_set_deadline(ws->link.conn, interval);
}

void ws_session_begin(struct ws *ws)
{
    await_ping_time(ws);
    if (ws->link.conn->net->draining)
        begin_close(ws, 1012, SPAN(""));
}

static void send_ping(struct ws *ws)
{
    uint64_t timeout = ws_conf_of(ws)->ping_timeout;
    ws->ping++;
    (void)!ws->link.engine->control(&ws->link, WS_OP_PING, (struct span){ (char *)&ws->ping, sizeof ws->ping });
    if (!timeout) {
        await_ping_time(ws);
        return;
    }
    ws->pong_due = true;
    conn_set_deadline(ws->link.conn, timeout);
}

bool ws_link_ping(struct ws_link *link, struct span payload)
{
    struct ws *ws = ws_of(link);
    if (ws->state != WS_STATE_OPEN)
        return ws->state != WS_STATE_ENDED;
    if (link->engine->control(link, WS_OP_PONG, payload) == LATER)
        ws_session_pause(ws, WS_PAUSED_OUTPUT);
    return true;
}

bool ws_link_pong(struct ws_link *link, struct span payload)
{
    struct ws *ws = ws_of(link);
    if (ws->state != WS_STATE_OPEN)
        return ws->state != WS_STATE_ENDED;
    if (ws->pong_due && payload.n == sizeof ws->ping && memcmp(payload.p, &ws->ping, payload.n) == 0) {
        ws->pong_due = false;
        await_ping_time(ws);
    }
    return true;
}

/* --- back-pressure --- */

void ws_session_pause(struct ws *ws, enum ws_paused why)
{
    if (!ws->paused)
        ws->link.engine->pause(&ws->link);
    ws->paused |= (uint8_t)why;
}

void ws_session_resume(struct ws *ws, enum ws_paused why)
{
    if (!(ws->paused & why))
        return;
    ws->paused &= (uint8_t)~why;
    if (!ws->paused && ws->state != WS_STATE_ENDED)
        ws->link.engine->resume(&ws->link);
}

void ws_link_drained(struct ws_link *link)
{
    struct ws *ws = ws_of(link);
    ws_session_resume(ws, WS_PAUSED_OUTPUT);
    if (!ws->later || ws->state == WS_STATE_ENDED)
        return;
    ws->later = false;
    ws->ops->on_drained(ws);
}

/* --- as a protocol on a connection --- */

static size_t session_on_data(struct conn *c, char *p, size_t n)
{
    struct ws *ws = c->proto_data;
    return ws->link.engine->on_data(&ws->link, p, n);
}

/* Without a Close frame (RFC 6455 7.1.5). */
static void session_on_eof(struct conn *c)
{
    struct ws *ws = c->proto_data;
    ws->link.engine->end(&ws->link);
    session_finish(ws, 1006, SPAN(""));
}

static void session_on_drained(struct conn *c)
{
    struct ws *ws = c->proto_data;
    ws->link.engine->on_drained(&ws->link);
}

static void session_on_deadline(struct conn *c)
{
    struct ws *ws = c->proto_data;
    if (ws->state == WS_STATE_CLOSING) {
        ws->link.engine->drop(&ws->link);
        session_finish(ws, 1006, SPAN(""));
    } else if (!ws->pong_due) {
        send_ping(ws);
    } else if (ws->paused) {
        /* The pong may be among what is not read: that is the application's delay, not the peer's. */
        conn_set_deadline(c, ws_conf_of(ws)->ping_timeout);
    } else {
        ws_session_fail(ws, 1011, "keepalive ping timeout");
    }
}

static void on_shutdown(struct conn *c)
{
    begin_close(c->proto_data, 1012, SPAN(""));
}

static void on_too_much(struct conn *c)
{
    ws_session_fail(c->proto_data, 1009, "too much is kept");
}

static void on_close(struct conn *c, enum conn_end why)
{
    struct ws *ws = c->proto_data;
    struct handler *handler = site_of(c)->handler;
    session_finish(ws, why == CONN_END_SHUTDOWN ? 1012 : 1006, SPAN(""));
    if (ws->link.data)
        ws->link.engine->free(&ws->link);
    if (c->user && handler->ops->on_conn_close)
        handler->ops->on_conn_close(handler, c);
    ws_deflate_free(ws->deflate);
    conn_keep(c, &ws->kept, 0);
    free(ws);
    c->proto_data = NULL;
}

const struct proto_ops proto_ws = {
    .name = "websocket",
    .on_data = session_on_data,
    .on_eof = session_on_eof,
    .on_drained = session_on_drained,
    .on_deadline = session_on_deadline,
    .on_shutdown = on_shutdown,
    .on_too_much = on_too_much,
    .on_close = on_close,
};
