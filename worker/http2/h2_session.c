/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_session.c: nghttp2's callbacks: what comes in is noted at its stream. Must never call a handler or make frames:
 * nghttp2 is at work. */
#include <stdlib.h>

#include "common/log.h"
#include "common/likely.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http2/h2_priv.h"

#define CONNECTION_WINDOW (1u << 20)

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* --- in --- */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    struct h2_conn *h = arg;
    if (hd->type != NGHTTP2_CONTINUATION)
        h->in_head = false;
    if (hd->type == NGHTTP2_HEADERS)
        h2_abuse_order(h, hd->stream_id);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *h = arg;
    h->in_head = true;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        h->trailer_size = 0;
        h->head = NULL;
        return 0;
    }
    struct h2_stream *s = h2_stream_new(h, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    h->head = s;
    return 0;
}

/* Decoded fields are bounded by what was sent, but one byte that was sent may decode to thousands. */
static int too_much(struct h2_conn *h)
{
    log_info("%s: HTTP/2 connection ended: a head of more than %u times http.limit_request_head", h->client.host,
             H2_HEAD_BOMB);
    h->doom = NGHTTP2_ENHANCE_YOUR_CALM;
    return NGHTTP2_ERR_PAUSE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                     const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
    struct h2_conn *h = arg;
    struct h2_stream *s = h->head;
    size_t *size = s ? &s->head_size : &h->trailer_size;
    *size += n_name + n_value + H2_FIELD_AROUND;
    if (unlikely(*size > (size_t)H2_HEAD_BOMB * h->conn->net->conf->http.limit_request_head))
        return too_much(h);
    if (likely(s != NULL))
        h2_head_add(s, (struct span){ (const char *)name, n_name }, (struct span){ (const char *)value, n_value });
    return 0;
}

/* nghttp2 would drop some of them silently. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                             const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
    struct h2_conn *h = arg;
    site_refuses(h->conn, h->client.host, "field-malformed", 400, "RFC 9113 8.2.1");
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void on_stream_ended(struct h2_stream *s)
{
    s->in_ended = true;
    s->req.body_complete = true;
    s->to_read = true;
    h2_note_in(s);
}

static void on_headers(struct h2_conn *h, const nghttp2_frame *frame)
{
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    h->in_head = false;
    if (h->head) {
        struct h2_stream *s = h->head;
        h->head = NULL;
        s->in_ended = s->req.body_complete = ended;
        if (unlikely(ended && s->req.protocol.n && !s->fault))
            s->fault = H2_FAULT_ENDED;
        s->to_start = true;
        h2_note_in(s);
        return;
    }
    struct h2_stream *s = stream_of(h->session, frame->hd.stream_id); /* trailers: checked and dropped */
    if (s && ended)
        on_stream_ended(s);
}

static void on_ping_answered(struct h2_conn *h)
{
    if (h->state == H2_LEAVING)
        h->to_last = true;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *h = arg;
    struct h2_stream *s;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers(h, frame);
        break;
    case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && (s = stream_of(session, frame->hd.stream_id)))
            on_stream_ended(s);
        break;
    case NGHTTP2_RST_STREAM:
        s = stream_of(session, frame->hd.stream_id);
        score_add64(&h->conn->net->score->h2_resets, 1);
        if (s && (s->req.state < REQ_ANSWERED || s->tunnel))
            h2_abuse_reset(h);
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            on_ping_answered(h);
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
    struct h2_stream *s = stream_of(session, id);
    if (likely(s != NULL))
        h2_take_data(s, p, n);
    else
        nghttp2_session_consume_connection(session, n);
    return 0;
}

/* --- out --- */

/* Of interim answers, then of the answer, then of its trailers. */
static void head_sent(struct h2_stream *s, const nghttp2_headers *head)
{
    s->head_sent |= s->submitted && head->nvlen && head->nva[0].value[0] != '1';
    if (unlikely(s->failed && s->head_sent && !h2_pending(s)))
        h2_note_drained(s);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *h = arg;
    struct h2_stream *s;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        s = stream_of(session, frame->hd.stream_id);
        score_add64(&h->conn->net->score->h2_resets, 1);
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR && !(s && s->cut))
            h2_abuse_fault(h);
        return 0;
    }
    bool head = frame->hd.type == NGHTTP2_HEADERS, end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type > NGHTTP2_HEADERS || !(head || end) || !(s = stream_of(session, frame->hd.stream_id)))
        return 0;
    if (head)
        head_sent(s, &frame->headers);
    if (end) {
        s->end_sent = true;
        if ((!s->in_ended || h->conn->peer_eof) && !s->cut)
            h2_linger(s);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct h2_conn *h = arg;
    struct h2_stream *s = stream_of(session, id);
    if (!s)
        return 0;
    if (h->head == s) {
        h->head = NULL;
        h->in_head = false;
    }
    if (s->in_ended)
        h2_abuse_over(h, id);
    s->closed = true;
    s->to_close = true;
    h2_note_out(s);
    return 0;
}

/* --- set-up --- */

static nghttp2_session_callbacks *callbacks_new(void)
{
    nghttp2_session_callbacks *cb;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(cb, h2_on_send_data);
    return cb;
}

static nghttp2_option *option_new(void)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
#ifdef HAVE_NGHTTP2_OPTION_SET_MAX_CONTINUATIONS
    nghttp2_option_set_max_continuations(option, H2_MAX_CONTINUATIONS);
#endif
    return option;
}

struct h2_shared *h2_shared_new(void)
{
    struct h2_shared *sh = calloc(1, sizeof(*sh));
    if (!sh)
        return NULL;
    SLIST_INIT(&sh->free);
    if ((sh->callbacks = callbacks_new()) && (sh->option = option_new()))
        return sh;
    h2_shared_free(sh);
    return NULL;
}

void h2_shared_free(void *shared)
{
    struct h2_shared *sh = shared;
    struct h2_stream *s;
    while ((s = SLIST_FIRST(&sh->free))) {
        SLIST_REMOVE_HEAD(&sh->free, free);
        h2_stream_memory_free(s);
    }
    nghttp2_session_callbacks_del(sh->callbacks);
    nghttp2_option_del(sh->option);
    free(sh->frame_buffer);
    free(sh);
}

int h2_session_open(struct h2_conn *h)
{
    const struct conf_http *conf = &h->conn->net->conf->http;
    uint32_t window = (uint32_t)conf->http2_initial_window_size;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, conf->http2_max_concurrent_streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)conf->limit_request_head },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    struct h2_shared *sh = h2_shared(h);
    h2_abuse_init(h);
    nghttp2_mem mem = h2_memory_of(h);
    nghttp2_session *session;
    if (nghttp2_session_server_new3(&session, sh->callbacks, h, sh->option, &mem) != 0)
        return -1;
    h->session = session;
    /* All uploads of a connection share its window: one that is not read must not stop the others. */
    uint32_t all = window < CONNECTION_WINDOW / 2 ? CONNECTION_WINDOW : window < INT32_MAX / 2 ? 2 * window : INT32_MAX;
    if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, sizeof(settings) / sizeof(*settings)) == 0 &&
        nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, (int32_t)all) == 0)
        return 0;
    nghttp2_session_del(h->session);
    h->session = NULL;
    return -1;
}
