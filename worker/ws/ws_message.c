/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_message.c: messages, both ways: coming in, pieces become a message within the limit, text is UTF-8 from its first byte
 * on, and no more wait than the user can take; going out, frames. */
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/net/conn.h"
#include "worker/ws/ws_deflate.h"
#include "worker/ws/ws_session_priv.h"

/* --- in --- */

static void deliver_message(struct ws *ws, enum ws_kind kind, struct span bytes)
{
    const struct conf_websocket *conf = ws_conf_of(ws);
    score_add64(&ws->link.conn->net->score->ws_in, 1);
    ws->untaken++;
    ws->untaken_bytes += bytes.n;
    if (ws->untaken >= conf->max_queue || ws->untaken_bytes >= conf->max_message_size)
        ws_session_pause(ws, WS_PAUSED_QUEUE);
    ws->ops->on_message(ws, kind, bytes);
}

void ws_taken(struct ws *ws, size_t n)
{
    const struct conf_websocket *conf = ws_conf_of(ws);
    ws->untaken--;
    ws->untaken_bytes -= n;
    if (ws->paused && ws->untaken < conf->max_queue && ws->untaken_bytes < conf->max_message_size)
        ws_session_resume(ws, WS_PAUSED_QUEUE);
}

static bool text_is_good(struct ws *ws, const struct ws_piece *piece, struct span added)
{
    if (piece->kind != WS_TEXT)
        return true;
    return ws_utf8_feed(&ws->utf8, added) && (!piece->last || ws_utf8_is_whole(&ws->utf8));
}

/* A message that came in one piece is delivered without a copy. */
static bool take_whole(struct ws *ws, const struct ws_piece *piece)
{
    struct span bytes = { piece->p, piece->n };
    if (!text_is_good(ws, piece, bytes))
        return ws_session_fail(ws, 1007, "text is not UTF-8");
    deliver_message(ws, piece->kind, bytes);
    return ws->state != WS_STATE_ENDED;
}

static bool tell_collected(struct ws *ws, enum ws_kind kind)
{
    struct buf whole = ws->message;
    ws->message = (struct buf){ 0 };
    deliver_message(ws, kind, buf_span(&whole));
    buf_release(&whole);
    if (ws->kept)
        ws_session_weigh(ws);
    return ws->state != WS_STATE_ENDED;
}

/* False: the session has failed, but for a want of memory. */
static bool inflate_piece(struct ws *ws, const struct ws_piece *piece)
{
    switch (ws_deflate_inflate(ws->deflate, (struct span){ piece->p, piece->n }, piece->last, &ws->message,
                               (size_t)ws_conf_of(ws)->max_message_size)) {
    case WS_INFLATED:
        return true;
    case WS_INFLATE_TOO_BIG:
        return ws_session_fail(ws, 1009, "message too big");
    case WS_INFLATE_BAD:
        return ws_session_fail(ws, 1007, "message is not deflated as it says");
    case WS_INFLATE_NO_MEMORY:
        break;
    }
    return false;
}

static bool collect(struct ws *ws, const struct ws_piece *piece)
{
    size_t before = buf_len(&ws->message);
    if (piece->compressed ? !inflate_piece(ws, piece) : piece->n && buf_add(&ws->message, piece->p, piece->n) < 0)
        return ws->state == WS_STATE_OPEN ? ws_session_fail(ws, 1011, "out of memory") : false;
    struct span added = { ws->message.p + ws->message.start + before, buf_len(&ws->message) - before };
    if (!text_is_good(ws, piece, added))
        return ws_session_fail(ws, 1007, "text is not UTF-8");
    if (piece->last)
        return tell_collected(ws, piece->kind);
    return ws_session_hold(ws) ? true : ws_session_fail(ws, 1009, "too much is kept");
}

bool ws_link_piece(struct ws_link *link, const struct ws_piece *piece)
{
    struct ws *ws = ws_of(link);
    if (ws->state != WS_STATE_OPEN)
        return ws->state != WS_STATE_ENDED; /* a Close frame may still follow it */
    if (piece->first)
        ws->utf8 = (struct ws_utf8){ 0 };
    if (!piece->compressed && piece->n > ws_conf_of(ws)->max_message_size - buf_len(&ws->message))
        return ws_session_fail(ws, 1009, "message too big");
    if (piece->first && piece->last && !piece->compressed)
        return take_whole(ws, piece);
    return collect(ws, piece);
}

/* --- out --- */

enum sent ws_send(struct ws *ws, enum ws_kind kind, struct span bytes)
{
    if (ws->state != WS_STATE_OPEN)
        return GONE;
    struct span small;
    bool compressed =
        ws->deflate && bytes.n >= WS_DEFLATE_LEAST && ws_deflate_compress(ws->deflate, bytes, &small) == 0;
    enum sent sent = ws->link.engine->send(&ws->link, (enum ws_opcode)kind, compressed, compressed ? small : bytes);
    score_add64(&ws->link.conn->net->score->ws_out, sent != GONE);
    if (sent == LATER)
        ws->later = true;
    return sent;
}
