/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws_wsi.c: what libwebsockets reports of its connections. Nothing is closed here but by the value that is returned,
 * since it continues with what it has in hand. What it does not check itself is checked here as far as it can be seen from
 * outside; man/tine.ini.5 lists what cannot. */
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

#include "common/forked.h"
#include "worker/ws/ws_lws_priv.h"

#define RSV1 0x40
#define ROOM_BEFORE_ANSWER 384 /* bytes in front of its answer that belong to the same buffer */

/* --- handshake --- */

/* The client has its 101 from us: the answer of libwebsockets is taken back to nothing. It begins where its status line
 * does, and ends with the CRLF that is put after `p` next. */
static int take_answer_back(struct lws_process_html_args *args)
{
    static const char status_line[] = "HTTP/1.1 101 ";
    for (int i = 0; i < ROOM_BEFORE_ANSWER; i++) {
        char *start = args->p - i;
        if (*start == 'H' && memcmp(start, status_line, sizeof status_line - 1) == 0) {
            args->p = start - 2;
            return 0;
        }
    }
    return -1;
}

static int on_established(struct wsl_lane *lane)
{
    wsl_set_state(lane, WSL_OPEN);
    if (lane->paused)
        lws_rx_flow_control(lane->wsi, 0);
    return 0;
}

/* --- frames --- */

static bool failed(struct wsl_lane *lane, const char *why)
{
    lane->deaf = true;
    return ws_link_failed(lane->link, why);
}

/* A peer that keeps sending after our last word. */
static void throw_away(struct wsl_lane *lane, size_t n)
{
    lane->thrown_away += (uint32_t)n;
    if (lane->link && lane->thrown_away > CONN_LINGER_MAX)
        conn_abort(lane->link->conn, false);
}

/* RSV1 stands on the first frame of a message or nowhere (RFC 7692 6); libwebsockets lets it pass on each. */
static bool reserved_bits_are_good(struct wsl_lane *lane, bool first)
{
    bool rsv1 = lws_get_reserved_bits(lane->wsi) & RSV1;
    if (first)
        lane->compressed = rsv1;
    return first || lane->inside_frame || !rsv1;
}

static int on_piece(struct wsl_lane *lane, char *p, size_t n)
{
    struct lws *wsi = lane->wsi;
    bool first = lws_is_first_fragment(wsi);
    if (lane->deaf) {
        throw_away(lane, n);
        return 0;
    }
    if (!reserved_bits_are_good(lane, first)) {
        failed(lane, "RSV1 inside a message");
        return 0;
    }
    lane->inside_frame = lws_remaining_packet_payload(wsi) > 0;
    struct ws_piece piece = { .kind = lws_frame_is_binary(wsi) ? WS_BINARY : WS_TEXT,
                              .first = first,
                              .last = lws_is_final_fragment(wsi),
                              .compressed = lane->compressed,
                              .p = p,
                              .n = n };
    if (!ws_link_piece(lane->link, &piece))
        lane->deaf = true;
    return 0;
}

static int on_pong(struct wsl_lane *lane, struct span payload)
{
    if (lane->deaf)
        return 0;
    if (lws_get_reserved_bits(lane->wsi) & RSV1)
        failed(lane, "RSV1 on a control frame");
    else if (!ws_link_pong(lane->link, payload))
        lane->deaf = true;
    return 0;
}

/* The session answers; libwebsockets would echo what it got, with codes that it does not know changed. Not 0: close
 * without that. */
static int on_peer_close(struct wsl_lane *lane, struct span payload)
{
    if (lane->deaf)
        return -1;
    if (lws_get_reserved_bits(lane->wsi) & RSV1)
        failed(lane, "RSV1 on a control frame");
    else
        ws_link_close(lane->link, payload);
    lane->deaf = true;
    return -1;
}

/* --- the end --- */

static bool peer_has_gone(struct wsl_lane *lane)
{
    char c;
    ssize_t n = recv(lws_get_socket_fd(lane->wsi), &c, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Nothing may follow our Close frame (RFC 6455 5.5.1); that which libwebsockets has in hand cannot be taken from it, but
 * be kept from leaving. */
static void silence(struct wsl_lane *lane)
{
    if (lane->link && lane->link->conn->state != CONN_DEAD)
        conn_flush(lane->link->conn);
    shutdown(lws_get_socket_fd(lane->wsi), SHUT_WR);
}

/* Libwebsockets begins to close, still able to send. With a Close frame in hand (the peer broke the protocol) it will
 * send that itself and wait for the answer; with none, though the peer is there, it is about to drop a connection
 * without a word (control frames longer than 125 bytes), so the word is ours. */
static int on_closing(struct wsl_lane *lane)
{
    bool has_word = lws_get_close_length(lane->wsi) > 0;
    if (lane->state != WSL_OPEN)
        return 0;
    if (has_word && (lane->deaf || lane->said_close))
        silence(lane);
    if (has_word)
        wsl_set_state(lane, WSL_CLOSING);
    if (!lane->deaf && (has_word || !peer_has_gone(lane)))
        failed(lane, "frame that libwebsockets refuses");
    return 0;
}

static int on_gone(struct wsl_lane *lane)
{
    if (lane->state == WSL_CLOSED)
        return 0;
    wsl_set_state(lane, WSL_CLOSED);
    lane->deaf = true;
    if (lane->link && lane->link->conn->state != CONN_DEAD)
        ws_link_gone(lane->link);
    return 0;
}

static int on_destroyed(struct wsl_lane *lane)
{
    on_gone(lane);
    lws_set_wsi_user(lane->wsi, NULL);
    lane->wsi = NULL;
    forked_disown(lane->fd);
    wsl_lane_unref(lane);
    return 0;
}

static int on_writable(struct wsl_lane *lane)
{
    struct conn *c = lane->link ? lane->link->conn : NULL;
    if (c && c->writing)
        event_active(&c->write_event, EV_WRITE, 0);
    return 0;
}

/* Marks the connection that is being adopted; its lane comes as `user` from then on. */
static int on_instantiated(struct lws *wsi)
{
    struct wsl_worker *w = lws_context_user(lws_get_context(wsi));
    struct wsl_lane *lane = w->adopting;
    if (!lane)
        return -1;
    lane->wsi = wsi;
    lws_set_wsi_user(wsi, lane);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
    struct wsl_lane *lane = user;
    if (reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED)
        return on_instantiated(wsi);
    if (!lane)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_ADD_HEADERS:
        return take_answer_back(in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(lane);
    case LWS_CALLBACK_RECEIVE:
        return on_piece(lane, in, n);
    case LWS_CALLBACK_RECEIVE_PONG:
        return on_pong(lane, (struct span){ in, n });
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_peer_close(lane, (struct span){ in, n });
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
        return on_closing(lane);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writable(lane);
    case LWS_CALLBACK_CLOSED:
        return on_gone(lane);
    case LWS_CALLBACK_WSI_DESTROY:
        return on_destroyed(lane);
    case LWS_CALLBACK_HTTP: /* our head is an upgrade, so this cannot be */
        return -1;
    default:
        return 0;
    }
}

const struct lws_protocols wsl_protocols[] = {
    { .name = "tine", .callback = on_event, .rx_buffer_size = WSL_READ_SIZE, .tx_packet_size = (size_t)2 * WSL_PIECE },
    { .name = NULL },
};

/* --- extension --- */

/* Does nothing to the bytes: that an extension of this name is there makes libwebsockets let RSV1 pass. Its own is never
 * used: it aborts the process on legal messages. */
static int on_extension(struct lws_context *context, const struct lws_extension *extension, struct lws *wsi,
                        enum lws_extension_callback_reasons reason, void *user, void *in, size_t n)
{
    static const struct lws_ext_options none[] = { { NULL, EXTARG_NONE } };
    if (reason == LWS_EXT_CB_CONSTRUCT) {
        *(void **)user = wsi;
        *(const struct lws_ext_options **)in = none;
    }
    return 0;
}

const struct lws_extension wsl_extensions[] = {
    { .name = "permessage-deflate", .callback = on_extension, .client_offer = "permessage-deflate" },
    { .name = NULL },
};
