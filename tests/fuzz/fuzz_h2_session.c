/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_h2_session.c: an HTTP/2 connection over any frames, behind a right preface. The first byte of the input says how the
 * client behaves and how the rest is cut. The application is a script that the path chooses from. Nothing that waits may
 * grow without bounds, all that the server sends must be whole frames in order, and whatever the cut, the same requests
 * with the same bodies must come of it, unless the client breaks the rules or takes one back. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/rig.h"
#include "worker/http2/h2_conn.h"
#include "worker/http2/h2_priv.h"

#define STREAMS 8 /* http2_max_concurrent_streams */
#define LARGE (200u << 10)
#define SEEN 64

const char *const fuzz_corpora[] = { NULL };

enum option { OPTION_DEAF = 1, OPTION_EOF = 2, OPTION_LEAVE = 4, OPTION_STEP = 0xf8 };

/* A request that came whole, as the application saw it. */
struct seen {
    int32_t id;
    size_t n;
    uint32_t head, body;
};

struct outcome {
    struct seen v[SEEN];
    size_t n;
    bool doomed, reset; /* the server said GOAWAY with an error; a stream was reset */
};

static struct rig rig;
static struct outcome *now;
static char large[LARGE];
/* One of these holds its answer back until the client has sent all. */
static struct req *held[STREAMS];

static uint32_t sum(uint32_t from, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        from = from * 31 + (unsigned char)p[i];
    return from;
}

/* --- a protocol in a stream (RFC 8441): sends back what it gets --- */

static size_t tunnel_data(struct conn *c, char *p, size_t n)
{
    if (conn_writev(c, &(struct iovec){ p, n }, 1) == LATER)
        conn_pause(c);
    return n;
}

static void tunnel_drained(struct conn *c)
{
    conn_resume(c);
}

static void tunnel_over(struct conn *c)
{
    conn_close(c);
}

static void tunnel_close(struct conn *c, enum conn_end why)
{
}

static const struct proto_ops tunnel = {
    .name = "tunnel",
    .on_data = tunnel_data,
    .on_drained = tunnel_drained,
    .on_eof = tunnel_over,
    .on_deadline = tunnel_over,
    .on_shutdown = tunnel_over,
    .on_close = tunnel_close,
};

/* --- the application --- */

static char script_of(const struct req *r)
{
    struct span path = req_span(r, r->path);
    return path.n > 1 ? path.p[1] : 0;
}

static void begin(struct req *r, bool trailers)
{
    static const struct resp_field fields[] = { { { "X-Field", 7 }, { "value", 5 } } };
    struct resp_head head = { .status = 200, .fields = fields, .n_fields = 1, .trailers = trailers };
    (void)!resp_start(r, &head);
}

static void answer(struct req *r)
{
    static const struct resp_field trailer = { { "x-trailer", 9 }, { "end", 3 } };
    char script = script_of(r);
    switch (script) {
    case 'l': /* lends what the windows do not take */
        begin(r, false);
        r->lends = true;
        (void)!resp_body(r, (struct span){ large, sizeof large }, false);
        break;
    case 't':
        begin(r, true);
        if (resp_body(r, SPAN("body"), false) != RESP_GONE)
            (void)!resp_trailers(r, &trailer, 1, false);
        break;
    case 'i':
        (void)!resp_interim(r, 103, &trailer, 1);
        resp_error(r, 404);
        break;
    case 'p':
        begin(r, false);
        if (resp_body(r, SPAN("one"), true) == RESP_SENT)
            (void)!resp_body(r, (struct span){ large, 100000 }, false);
        break;
    default:
        begin(r, false);
        (void)!resp_body(r, SPAN("ok"), false);
    }
}

static struct seen *seen_of(struct req *r)
{
    for (size_t i = 0; i < now->n; i++) {
        if (now->v[i].id == h2_of(r)->id)
            return &now->v[i];
    }
    return NULL;
}

/* Holds it, or answers it. */
static void came_whole(struct req *r)
{
    for (size_t i = 0; script_of(r) == 'h' && i < STREAMS; i++) {
        if (!held[i]) {
            held[i] = r;
            return;
        }
    }
    answer(r);
}

static void on_body(struct req *r)
{
    struct span body = req_body(r);
    struct seen *s = seen_of(r);
    if (s) {
        s->body = sum(s->body, body.p, body.n);
        s->n += body.n;
    }
    req_body_take(r, body.n);
    if (req_body_ended(r))
        came_whole(r);
    else
        req_body_want(r);
}

static void note(struct req *r)
{
    struct seen s = { .id = h2_of(r)->id };
    struct span method = req_span(r, r->method), target = req_span(r, r->target);
    s.head = sum(sum(1, method.p, method.n), target.p, target.n);
    for (uint32_t i = 0; i < r->n_fields; i++) {
        struct span name = req_span(r, r->fields[i].name), value = req_span(r, r->fields[i].value);
        s.head = sum(sum(s.head, name.p, name.n) + 1, value.p, value.n) + 1;
    }
    if (now->n < SEEN)
        now->v[now->n++] = s;
}

static void on_request(struct handler *h, struct req *r)
{
    struct resp_head accepted = { .status = 101 };
    struct conn *inner;
    MUST(!seen_of(r));
    note(r);
    r->user = r;
    switch (script_of(r)) {
    case 'a':
        resp_abort(r);
        return;
    case 'e': /* early: the body may still come */
        answer(r);
        return;
    case 'n': /* nobody reads it */
        return;
    }
    if (r->protocol.n)
        (void)!resp_upgrade(r, &accepted, SPAN("websocket"), &tunnel, NULL, &inner);
    else
        on_body(r);
}

static void on_drained(struct req *r)
{
}

static void on_peer_eof(struct req *r)
{
    if (script_of(r) == 'g')
        req_abandon(r);
}

/* Who did not come to the end is not counted: by the cut, it may not have come to a beginning. */
static void on_end(struct req *r, enum req_end why)
{
    struct seen *s = seen_of(r);
    for (size_t i = 0; i < STREAMS; i++) {
        if (held[i] == r)
            held[i] = NULL;
    }
    MUST(r->user == r);
    r->user = NULL;
    if (why != REQ_END_COMPLETE && s)
        *s = now->v[--now->n];
}

/* --- what the server sends --- */

static void read_frames(struct outcome *o, const uint8_t *p, size_t n)
{
    struct h2_walk w = { 0 };
    struct h2_walked f;
    while (h2_walk_next(&w, &p, &n, &f)) {
        MUST(f.length <= 16384 && f.type <= NGHTTP2_CONTINUATION && f.type != NGHTTP2_PUSH_PROMISE);
        o->reset |= f.type == NGHTTP2_RST_STREAM;
        o->doomed |= f.type == NGHTTP2_GOAWAY && n >= 8 && memcmp(p + 4, "\0\0\0", 4) != 0;
    }
    MUST(!w.n_head);
}

/* --- a session --- */

static struct conn *connection(void)
{
    struct conn *c;
    TAILQ_FOREACH (c, &rig.net.conns, all) {
        if (c->proto == &proto_h2 && c->state == CONN_OPEN)
            return c;
    }
    return NULL;
}

static void check_bounds(void)
{
    struct conn *c = connection();
    struct h2_conn *h = c ? c->proto_data : NULL;
    struct h2_stream *s;
    size_t streams = 0, unread = 0;
    if (!h || h->state == H2_CLOSED)
        return;
    TAILQ_FOREACH (s, &h->streams, all) {
        streams++;
        unread += buf_len(&s->req.body);
        MUST(buf_len(&s->head) <= H2_HEAD_BOMB * rig.conf.http.limit_request_head * 2);
        MUST(buf_len(&s->out) + buf_len(&s->tail) <= LARGE + H2_STREAM_HIGH);
    }
    MUST(streams <= 2 * STREAMS && unread <= 2u << 20);
    MUST(nghttp2_session_get_outbound_queue_size(h->session) <= 3000);
    MUST(buf_len(&c->out) <= 2 * CONN_HIGH_MARK && buf_len(&c->in) <= CONN_HIGH_MARK);
}

static void answer_held(void)
{
    for (size_t i = 0; i < STREAMS; i++) {
        struct req *r = held[i];
        held[i] = NULL;
        if (r)
            answer(r);
    }
    rig_pump(&rig);
}

static void abort_all(void)
{
    struct conn *c;
    TAILQ_FOREACH (c, &rig.net.conns, all)
        conn_abort(c, false);
    rig_pump(&rig);
}

static void session(struct outcome *o, const uint8_t *p, size_t n, size_t step, unsigned options)
{
    struct peer peer;
    *o = (struct outcome){ .n = 0 };
    now = o;
    memset(held, 0, sizeof held);
    peer_open(&peer, &rig);
    peer_say(&peer, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for (size_t at = 0; at < n; at += step) {
        peer_send(&peer, p + at, n - at < step ? n - at : step);
        if (!(options & OPTION_DEAF))
            peer_read_all(&peer);
        check_bounds();
    }
    if (options & OPTION_LEAVE) {
        net_shutdown(&rig.net);
        rig_pump(&rig);
    }
    if (options & OPTION_EOF)
        peer_shut(&peer);
    answer_held();
    peer_read_all(&peer);
    check_bounds();
    size_t got = buf_len(&peer.got);
    if (!peer.reset)
        read_frames(o, (const uint8_t *)peer.got.p + peer.got.start, got);
    now = &(struct outcome){ .n = 0 }; /* what ends from here on is no matter */
    peer_close(&peer);
    abort_all(); /* some wait for an application that does not answer */
    MUST(TAILQ_EMPTY(&rig.net.conns) && !rig.score.inflight);
    rig.net.draining = false;
}

/* --- both ways --- */

static bool takes_back(const uint8_t *p, size_t n)
{
    struct h2_walk w = { 0 };
    struct h2_walked f;
    while (h2_walk_next(&w, &p, &n, &f)) {
        if (f.type == NGHTTP2_RST_STREAM)
            return true;
    }
    return false;
}

static void compare(const struct outcome *a, const struct outcome *b)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct seen *s = NULL;
        for (size_t k = 0; k < b->n; k++) {
            if (b->v[k].id == a->v[i].id)
                s = &b->v[k];
        }
        MUST(s && s->head == a->v[i].head && s->n == a->v[i].n && s->body == a->v[i].body);
    }
}

static const struct proto_ops *choose(struct conn *c)
{
    return &proto_h2;
}

static void set_up(void)
{
    static const struct handler_ops ops = { .name = "script",
                                            .on_request = on_request,
                                            .on_body = on_body,
                                            .on_drained = on_drained,
                                            .on_peer_eof = on_peer_eof,
                                            .on_end = on_end };
    static struct handler handler = { &ops };
    rig_init(&rig, &handler);
    rig.net.choose_proto = choose;
    rig.conf.http.http2_max_concurrent_streams = STREAMS;
    rig.conf.http.http2_initial_window_size = 65535;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, cut;
    if (!size)
        return 0;
    if (!rig.base)
        set_up();
    unsigned options = data[0];
    session(&whole, data + 1, size - 1, size, options);
    session(&cut, data + 1, size - 1, (options & OPTION_STEP) / 8 + 1u, options);
    if (whole.doomed || cut.doomed || takes_back(data + 1, size - 1))
        return 0;
    if (!whole.reset && !cut.reset)
        MUST(whole.n == cut.n);
    compare(&whole, &cut);
    return 0;
}
