/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_ws_frames.c: a WebSocket session on the wslay engine, over any bytes. The first byte of the input chooses whether
 * permessage-deflate is agreed on, how the rest is cut, and how late messages are taken; the user answers each message
 * with itself. Whatever the cut, the same messages must be told, the answer must be the same, and all that the server
 * sends must be frames that it may send, one Close frame last. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/rig.h"
#include "worker/ws/ws.h"

#define LIMIT 4096 /* max_message_size */
#define QUEUE 3
#define REQUEST                                                                                               \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
/* With the largest window, for zlib notices a reference beyond a smaller one or not, as its input is cut. */
#define OFFER "Sec-WebSocket-Extensions: permessage-deflate\r\n"

const char *const fuzz_corpora[] = { "ws_frames.json", NULL };

enum option { OPTION_DEFLATE = 1, OPTION_LATE = 2, OPTION_STEP = 0xfc };

/* What the user was told. */
struct told {
    struct ws *ws;
    bool late, closed;
    unsigned code, n_messages, n_closes;
    uint32_t sum;
    size_t untaken[QUEUE + LIMIT]; /* sizes of those not taken yet */
    size_t n_untaken;
};

/* What the client saw behind the 101, up to the Close frame. */
struct seen {
    size_t n;
    uint32_t sum;
    bool closed;
    unsigned code;
};

static struct rig rig;
static struct told told;

/* --- the user --- */

static void add_sum(uint32_t *sum, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *sum = *sum * 31 + (unsigned char)p[i];
}

static void on_message(struct ws *ws, enum ws_kind kind, struct span bytes)
{
    MUST(!told.closed && bytes.n <= LIMIT && (kind == WS_TEXT || kind == WS_BINARY));
    told.n_messages++;
    told.sum = told.sum * 31 + (uint32_t)bytes.n * 2 + (uint32_t)kind;
    add_sum(&told.sum, bytes.p, bytes.n);
    (void)!ws_send(ws, kind, bytes);
    if (told.late)
        told.untaken[told.n_untaken++] = bytes.n;
    else
        ws_taken(ws, bytes.n);
    MUST(told.n_untaken <= QUEUE); /* paused when the queue is full */
}

static void on_drained(struct ws *ws)
{
}

static void on_close(struct ws *ws, unsigned code, struct span reason)
{
    MUST(!told.closed && reason.n <= 123);
    told.closed = true;
    told.code = code;
    told.ws = NULL;
}

static void take_all(void)
{
    while (told.n_untaken && told.ws) {
        size_t n = told.n_untaken;
        told.n_untaken = 0;
        for (size_t i = 0; i < n && told.ws; i++)
            ws_taken(told.ws, told.untaken[i]);
        rig_pump(&rig);
    }
}

static void on_request(struct handler *h, struct req *r)
{
    static const struct ws_user_ops ops = { .on_message = on_message, .on_drained = on_drained, .on_close = on_close };
    struct ws_accept a = { .ops = &ops };
    MUST(ws_judge(r).ask == WS_ASKED);
    MUST(ws_accept(r, &a, &told.ws) == WS_OPENED);
}

static void on_end(struct req *r, enum req_end why)
{
}

/* --- the client --- */

/* One frame of the server at p. Its size; 0: it is not whole. */
static size_t frame_size(const unsigned char *p, size_t n, bool deflate)
{
    size_t head = 2, length;
    unsigned opcode, rsv;
    if (n < 2)
        return 0;
    opcode = p[0] & 15, rsv = p[0] & 0x70, length = p[1] & 127;
    MUST((p[0] & 0x80) && !(p[1] & 0x80));
    MUST(opcode == 1 || opcode == 2 || opcode == 8 || opcode == 10);
    MUST(!rsv || (rsv == 0x40 && deflate && opcode < 8));
    MUST(opcode < 8 || length < 126);
    MUST(length != 127);
    if (length == 126) {
        if (n < 4)
            return 0;
        head = 4;
        length = (size_t)p[2] << 8 | p[3];
        MUST(length > 125);
    }
    return n < head + length ? 0 : head + length;
}

static struct seen judge(struct peer *p, bool deflate)
{
    struct seen s = { 0 };
    const char *head = peer_text(p), *at = strstr(head, "\r\n\r\n");
    MUST(at && strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    const unsigned char *f = (const unsigned char *)at + 4;
    size_t left = buf_len(&p->got) - (size_t)((const char *)f - head), size;
    while (left) {
        MUST(!s.closed); /* nothing behind a Close frame */
        size = frame_size(f, left, deflate);
        MUST(size);
        if ((f[0] & 15) == 8) {
            s.closed = true;
            MUST(f[1] != 1);
            s.code = f[1] ? (unsigned)f[2] << 8 | f[3] : 1005;
            MUST(s.code == 1005 || ws_code_is_good(s.code));
        } else {
            s.n += size;
            add_sum(&s.sum, (const char *)f, size);
        }
        f += size;
        left -= size;
    }
    return s;
}

static struct seen talk(const uint8_t *data, size_t n, unsigned options, size_t step)
{
    struct peer p;
    bool deflate = options & OPTION_DEFLATE;
    told = (struct told){ .late = options & OPTION_LATE };
    peer_open(&p, &rig);
    peer_say(&p, deflate ? REQUEST OFFER "\r\n" : REQUEST "\r\n");
    for (size_t at = 0; at < n; at += step) {
        peer_send(&p, data + at, n - at < step ? n - at : step);
        take_all();
        peer_read_all(&p);
    }
    peer_shut(&p);
    peer_read_all(&p);
    take_all();
    peer_read_all(&p);
    struct seen s = judge(&p, deflate);
    peer_close(&p);
    MUST(told.closed);
    return s;
}

/* Whether a message is too big or not what it should be can be seen in either order. */
static unsigned kind_of(unsigned code)
{
    return code == 1009 ? 1007 : code;
}

static void start(void)
{
    static const struct handler_ops ops = { .name = "fuzz", .on_request = on_request, .on_end = on_end };
    static struct handler handler = { &ops };
    rig_init(&rig, &handler);
    rig.conf.websocket = (struct conf_websocket){
        .engine = CONF_WS_ENGINE_WSLAY, .max_message_size = LIMIT, .max_queue = QUEUE, .per_message_deflate = true
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig.base)
        start();
    if (!size)
        return 0;
    unsigned options = data[0];
    size_t step = (options & OPTION_STEP) >> 2;
    struct seen whole = talk(data + 1, size - 1, options & ~(unsigned)OPTION_LATE, size);
    struct told first = told;
    struct seen cut = talk(data + 1, size - 1, options, step ? step : 1);
    MUST(told.n_messages == first.n_messages && told.sum == first.sum && kind_of(told.code) == kind_of(first.code));
    MUST(cut.n == whole.n && cut.sum == whole.sum && cut.closed == whole.closed &&
         kind_of(cut.code) == kind_of(whole.code));
    return 0;
}
