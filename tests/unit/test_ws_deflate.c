/* SPDX-License-Identifier: BSD-3-Clause */
/* test_ws_deflate.c: what is agreed on for permessage-deflate, the examples of RFC 7692, messages against a plain zlib,
 * the limit, and streams that are taken away between messages. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/unit/unit.h"
#include "worker/ws/ws_deflate.h"

#define NO_LIMIT ((size_t)1 << 30)
#define MANY (WS_DEFLATE_STREAMS + 10)

/* --- offers --- */

static const struct {
    const char *offer, *answer; /* NULL: declined */
} offers[] = {
    { "permessage-deflate", "permessage-deflate" },
    { " permessage-deflate ", "permessage-deflate" },
    { "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=12" },
    { "permessage-deflate; client_max_window_bits=15", "permessage-deflate; client_max_window_bits=12" },
    { "permessage-deflate;client_max_window_bits=8", "permessage-deflate; client_max_window_bits=8" },
    { "permessage-deflate; client_max_window_bits=\"10\"", "permessage-deflate; client_max_window_bits=10" },
    { "permessage-deflate; client_max_window_bits=\"1\\0\"", "permessage-deflate; client_max_window_bits=10" },
    { "permessage-deflate ; client_max_window_bits = 9", "permessage-deflate; client_max_window_bits=9" },
    { "permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=12" },
    { "permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9" },
    { "permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover" },
    { "permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover" },
    { "permessage-deflate; client_max_window_bits; server_max_window_bits=10; client_no_context_takeover;"
      " server_no_context_takeover",
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10;"
      " client_max_window_bits=12" },
    /* The first that can be had */
    { "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
      "permessage-deflate; server_max_window_bits=10" },
    { "permessage-deflate; client_max_window_bits=10, permessage-deflate",
      "permessage-deflate; client_max_window_bits=10" },
    { "x-webkit-deflate-frame, permessage-deflate", "permessage-deflate" },
    { "foo; bar=\"baz\" ,, permessage-deflate", "permessage-deflate" },
    { "permessage-deflate, ???", "permessage-deflate" },
    /* Declined */
    { "", NULL },
    { ",", NULL },
    { "permessage-bzip2", NULL },
    { "permessage-deflate-2", NULL },
    { "permessage-deflate; unknown", NULL },
    { "permessage-deflate; server_max_window_bits", NULL },
    { "permessage-deflate; server_max_window_bits=8", NULL },
    { "permessage-deflate; server_max_window_bits=16", NULL },
    { "permessage-deflate; server_max_window_bits=7", NULL },
    { "permessage-deflate; server_max_window_bits=010", NULL },
    { "permessage-deflate; server_max_window_bits=09", NULL },
    { "permessage-deflate; server_max_window_bits=1 0", NULL },
    { "permessage-deflate; server_max_window_bits=", NULL },
    { "permessage-deflate; server_max_window_bits=\"\"", NULL },
    { "permessage-deflate; server_max_window_bits=\"10", NULL },
    { "permessage-deflate; server_max_window_bits=\"10\\", NULL },
    { "permessage-deflate; server_max_window_bits=+10", NULL },
    { "permessage-deflate; server_max_window_bits=100", NULL },
    { "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", NULL },
    { "permessage-deflate; client_max_window_bits=7", NULL },
    { "permessage-deflate; client_max_window_bits=16", NULL },
    { "permessage-deflate; client_max_window_bits=x", NULL },
    { "permessage-deflate; client_max_window_bits; client_max_window_bits", NULL },
    { "permessage-deflate; server_no_context_takeover=1", NULL },
    { "permessage-deflate; client_no_context_takeover=\"\"", NULL },
    { "permessage-deflate; server_no_context_takeover; server_no_context_takeover", NULL },
    { "permessage-deflate; client_no_context_takeover; client_no_context_takeover", NULL },
    { "permessage-deflate;", NULL },
    { "permessage-deflate; =5", NULL },
    { "permessage-deflate foo", NULL },
    { "foo bar, permessage-deflate", NULL },
    { "\"permessage-deflate\"", NULL },
};

static void test_offers(void)
{
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        struct ws_deflate_params params;
        char field[WS_DEFLATE_FIELD] = "";
        size_t n = 0;
        bool accepted = ws_deflate_negotiate(NULL, span_of(offers[i].offer), &params, field, &n);
        CHECK_MSG(accepted == (offers[i].answer != NULL), "%s", offers[i].offer);
        if (accepted && offers[i].answer)
            CHECK_MSG(strcmp(field, offers[i].answer) == 0 && n == strlen(field), "%s: %s", offers[i].offer, field);
    }
}

static void test_params(void)
{
    struct ws_deflate_params p;
    char field[WS_DEFLATE_FIELD];
    size_t n;
    CHECK(ws_deflate_negotiate(NULL, SPAN("permessage-deflate"), &p, field, &n));
    CHECK(p.server_max_window_bits == WS_DEFLATE_WINDOW && p.client_max_window_bits == 15);
    CHECK(!p.server_no_context_takeover && !p.client_no_context_takeover);
    CHECK(ws_deflate_negotiate(NULL, SPAN("permessage-deflate; client_max_window_bits=10; server_no_context_takeover"),
                               &p, field, &n));
    CHECK(p.client_max_window_bits == 10 && p.server_no_context_takeover);
}

/* --- connections --- */

static struct ws_deflate *connect_with(struct ws_deflate_pool *pool, const char *offer)
{
    struct ws_deflate_params params;
    char field[WS_DEFLATE_FIELD];
    size_t n;
    if (!ws_deflate_negotiate(pool, span_of(offer), &params, field, &n))
        abort();
    struct ws_deflate *d = ws_deflate_new(pool, &params);
    if (!d)
        abort();
    return d;
}

static const char with_window[] = "permessage-deflate; client_max_window_bits";
static const char without_context[] =
    "permessage-deflate; client_max_window_bits; client_no_context_takeover; server_no_context_takeover";

static enum ws_inflated inflate_some(struct ws_deflate *d, const void *p, size_t n, bool last, struct buf *to,
                                     size_t limit)
{
    char *copy = malloc(n ? n : 1); /* so that the sanitizer sees a step too far */
    memcpy(copy, p, n);
    enum ws_inflated done = ws_deflate_inflate(d, (struct span){ copy, n }, last, to, limit);
    free(copy);
    return done;
}

static void check_inflates(struct ws_deflate *d, const void *p, size_t n, struct span expected)
{
    struct buf to = { 0 };
    CHECK(inflate_some(d, p, n, true, &to, NO_LIMIT) == WS_INFLATED);
    CHECK_MSG(span_eq(buf_span(&to), expected), "%zu bytes", buf_len(&to));
    buf_release(&to);
}

/* RFC 7692 7.2.3 */
static void test_examples(void)
{
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    struct span hello = SPAN("Hello"), out;

    struct ws_deflate *d = connect_with(pool, with_window);
    check_inflates(d, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, hello); /* 7.2.3.1 */
    check_inflates(d, "\xf2\x00\x11\x00\x00", 5, hello); /* 7.2.3.2: refers to the one before */
    ws_deflate_free(d);

    d = connect_with(pool, without_context);
    check_inflates(d, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, hello);
    check_inflates(d, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, hello);
    check_inflates(d, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, hello); /* 7.2.3.3 */
    check_inflates(d, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, hello); /* 7.2.3.4 */
    check_inflates(d, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, hello); /* 7.2.3.5 */
    check_inflates(d, "\x00", 1, SPAN("")); /* 7.2.3.6 */
    check_inflates(d, "\x02\x00", 2, SPAN(""));
    CHECK(ws_deflate_compress(d, SPAN(""), &out) == 0 && out.n == 1 && out.p[0] == 0);
    ws_deflate_free(d);

    d = connect_with(pool, with_window);
    CHECK(ws_deflate_compress(d, hello, &out) == 0);
    CHECK(out.n == 7 && memcmp(out.p, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7) == 0);
    CHECK(ws_deflate_compress(d, hello, &out) == 0);
    CHECK(out.n == 5 && memcmp(out.p, "\xf2\x00\x11\x00\x00", 5) == 0);
    ws_deflate_free(d);
    ws_deflate_pool_free(pool);
}

/* What follows a final block may refer to what is before it; a message may end with one. */
static void test_final_blocks(void)
{
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    struct ws_deflate *d = connect_with(pool, with_window);
    check_inflates(d, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, SPAN("Hello"));
    check_inflates(d, "\xf2\x00\x11\x00\x00", 5, SPAN("Hello"));
    check_inflates(d, "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 15, SPAN("HelloHello"));
    check_inflates(d, "\xf3\x48\xcd\xc9\xc9\x07\x00", 7, SPAN("Hello"));
    check_inflates(d, "\xf2\x00\x11\x00\x00", 5, SPAN("Hello"));
    check_inflates(d, "\x01", 1, SPAN(""));
    check_inflates(d, "\xf2\x00\x11\x00\x00", 5, SPAN("Hello"));
    ws_deflate_free(d);
    ws_deflate_pool_free(pool);
}

static void check_bad(const void *p, size_t n)
{
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    struct ws_deflate *d = connect_with(pool, with_window);
    struct buf to = { 0 };
    CHECK(inflate_some(d, p, n, true, &to, NO_LIMIT) == WS_INFLATE_BAD);
    buf_release(&to);
    ws_deflate_free(d);
    ws_deflate_pool_free(pool);
}

static void test_bad(void)
{
    check_bad("", 0); /* no block at all */
    check_bad("\x06", 1); /* block type 3 */
    check_bad("\xf2\x48\xcd\xc9\xc9", 5); /* cut off */
    check_bad("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", 11); /* the tail was not taken away */
    check_bad("\xf2\x00\x11\x00\x00", 5); /* refers to what never was */
    check_bad("\xf3\x48\xcd\xc9\xc9\x07\x00\x07", 8); /* no block behind a final one */
    check_bad("\x00\x05\x00\xff\xff", 5); /* lengths that do not agree */
}

/* --- the other side --- */

struct peer {
    z_stream in, out;
    bool context_in, context_out;
};

static void peer_init(struct peer *p, int server_bits, int client_bits, bool context)
{
    *p = (struct peer){ .context_in = context, .context_out = context };
    if (inflateInit2(&p->in, -server_bits) != Z_OK ||
        deflateInit2(&p->out, 6, Z_DEFLATED, -client_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
}

static void peer_done(struct peer *p)
{
    inflateEnd(&p->in);
    deflateEnd(&p->out);
}

static size_t peer_compress(struct peer *p, struct span message, char *to, size_t room)
{
    if (!message.n) { /* zlib makes no second empty block */
        to[0] = 0;
        return 1;
    }
    if (!p->context_out)
        deflateReset(&p->out);
    p->out.next_in = (Bytef *)message.p;
    p->out.avail_in = (uInt)message.n;
    p->out.next_out = (Bytef *)to;
    p->out.avail_out = (uInt)room;
    if (deflate(&p->out, Z_SYNC_FLUSH) != Z_OK || !p->out.avail_out)
        abort();
    return room - p->out.avail_out - 4;
}

static bool peer_inflates(struct peer *p, struct span compressed, struct span expected)
{
    char *to = malloc(expected.n + 1);
    static const char tail[] = "\0\0\xff\xff";
    if (!p->context_in)
        inflateReset(&p->in);
    p->in.next_out = (Bytef *)to;
    p->in.avail_out = (uInt)expected.n + 1;
    p->in.next_in = (Bytef *)compressed.p;
    p->in.avail_in = (uInt)compressed.n;
    int rc = inflate(&p->in, Z_SYNC_FLUSH);
    p->in.next_in = (Bytef *)tail;
    p->in.avail_in = 4;
    int tail_rc = inflate(&p->in, Z_SYNC_FLUSH);
    bool same = (rc == Z_OK || rc == Z_BUF_ERROR) && tail_rc == Z_OK && p->in.avail_out == 1 &&
                memcmp(to, expected.p, expected.n) == 0;
    free(to);
    return same;
}

/* Words out of a few, so that it compresses and refers far back; n bytes, other ones for each seed. */
static struct span text(char *to, size_t n, uint32_t seed)
{
    static const char *const words[] = { "alpha ", "beta ", "gamma ", "delta ", "epsilon ", "\xc3\xa4 ", "\1\2 " };
    for (size_t at = 0; at < n; at++) {
        seed = seed * 1664525u + 1013904223u;
        const char *word = words[(seed >> 20) % 7];
        while (*word && at < n)
            to[at++] = *word++;
        if (at < n)
            to[at] = (char)(seed >> 24);
    }
    return (struct span){ to, n };
}

static const size_t sizes[] = {
    1, 2, 5, 95, 96, 97, 500, 4095, 4096, 4097, 40000, 65536, 200000, 0, 7, 1000000, 3, 4000
};
#define LARGEST 1000000

/* Both ways, in pieces of each kind, one connection after another and all at once. */
static void check_exchange(struct ws_deflate *d, struct peer *p, uint32_t seed, size_t piece)
{
    static char message[LARGEST], packed[LARGEST + 1000];
    struct span out, in = text(message, sizes[seed % (sizeof sizes / sizeof *sizes)], seed);
    CHECK(ws_deflate_compress(d, in, &out) == 0);
    CHECK_MSG(peer_inflates(p, out, in), "message %u of %zu bytes", seed, in.n);

    struct buf to = { 0 };
    size_t n = peer_compress(p, in, packed, sizeof packed);
    enum ws_inflated done = WS_INFLATED;
    for (size_t at = 0; at < n && done == WS_INFLATED; at += piece)
        done = inflate_some(d, packed + at, n - at < piece ? n - at : piece, n - at <= piece, &to, in.n);
    CHECK_MSG(done == WS_INFLATED && span_eq(buf_span(&to), in), "message %u of %zu bytes", seed, in.n);
    buf_release(&to);
}

static void test_exchange(const char *offer, int server_bits, int client_bits, bool context)
{
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    struct ws_deflate *d = connect_with(pool, offer);
    struct peer p;
    peer_init(&p, server_bits, client_bits, context);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_exchange(d, &p, i, i % 3 ? 1000000 : 700);
    check_exchange(d, &p, 6, 1);
    peer_done(&p);
    ws_deflate_free(d);
    ws_deflate_pool_free(pool);
}

/* More connections than streams, all with contexts: each message finds its own, though another had the stream. */
static void test_more_connections_than_streams(void)
{
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    static struct ws_deflate *d[MANY];
    static struct peer p[MANY];
    for (int i = 0; i < MANY; i++) {
        d[i] = connect_with(pool, i % 5 == 4 ? "permessage-deflate" : i % 5 == 3 ? without_context : with_window);
        peer_init(&p[i], 12, i % 5 == 4 ? 15 : 12, i % 5 != 3);
    }
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < MANY; i++)
            check_exchange(d[i], &p[i], (round + i) % 10, i % 2 ? 100000 : 300);
    }
    for (int i = 0; i < MANY; i++) {
        ws_deflate_free(d[i]);
        peer_done(&p[i]);
    }
    ws_deflate_pool_free(pool);
}

/* All in the middle of a message at once, then one after another to its end, then freed in the middle of one. */
static void test_all_reading_at_once(void)
{
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    static struct ws_deflate *d[MANY];
    static struct peer p[MANY];
    static struct buf to[MANY];
    static char message[300], packed[1000];
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            if (!round) {
                d[i] = connect_with(pool, i % 4 == 3 ? without_context : with_window);
                peer_init(&p[i], 12, 12, i % 4 != 3);
            }
            size_t n = peer_compress(&p[i], text(message, sizeof message, i), packed, sizeof packed);
            CHECK(inflate_some(d[i], packed, n - 1, false, &to[i], NO_LIMIT) == WS_INFLATED);
        }
        for (uint32_t i = 0; i < MANY && round < 2; i++) {
            CHECK(inflate_some(d[i], "", 1, true, &to[i], NO_LIMIT) == WS_INFLATED);
            CHECK_MSG(span_eq(buf_span(&to[i]), text(message, sizeof message, i)), "connection %u", i);
            buf_release(&to[i]);
        }
    }
    for (int i = 0; i < MANY; i++) {
        buf_release(&to[i]);
        ws_deflate_free(d[i]);
        peer_done(&p[i]);
    }
    ws_deflate_pool_free(pool);
}

/* --- limits --- */

static void test_limit(void)
{
    static char zeros[100000], packed[1000], noise[2000];
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    static const size_t limits[] = { 0, 1, 1023, 1024, 99999 };
    struct peer p;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct ws_deflate *d = connect_with(pool, with_window);
        struct buf to = { 0 };
        peer_init(&p, 12, 12, true);
        size_t n = peer_compress(&p, (struct span){ zeros, sizeof zeros }, packed, sizeof packed);
        CHECK(inflate_some(d, packed, n, true, &to, limits[i]) == WS_INFLATE_TOO_BIG);
        CHECK_MSG(buf_len(&to) <= limits[i] && to.cap <= 2 * limits[i] + 2048, "%zu of %zu", to.cap, limits[i]);
        buf_release(&to);
        ws_deflate_free(d);
        peer_done(&p);
    }
    /* As many as allowed, behind bytes of an earlier piece */
    struct ws_deflate *d = connect_with(pool, with_window);
    struct buf to = { 0 };
    peer_init(&p, 12, 12, true);
    struct span message = text(noise, sizeof noise, 1);
    size_t n = peer_compress(&p, message, packed, sizeof packed);
    CHECK(inflate_some(d, packed, 100, false, &to, sizeof noise) == WS_INFLATED);
    CHECK(inflate_some(d, packed + 100, n - 100, true, &to, sizeof noise) == WS_INFLATED);
    CHECK(span_eq(buf_span(&to), message));
    buf_release(&to);
    ws_deflate_free(d);
    peer_done(&p);
    ws_deflate_pool_free(pool);
}

static void test_budget(void)
{
    enum { ALL = WS_DEFLATE_BUDGET >> 15 };
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    static struct ws_deflate *d[ALL];
    struct ws_deflate_params params;
    char field[WS_DEFLATE_FIELD];
    size_t n;
    for (int i = 0; i < ALL; i++)
        d[i] = connect_with(pool, "permessage-deflate");
    CHECK(ws_deflate_negotiate(pool, span_of(with_window), &params, field, &n));
    CHECK(params.client_no_context_takeover && !params.server_no_context_takeover);
    CHECK_MSG(strcmp(field, "permessage-deflate; client_no_context_takeover; client_max_window_bits=12") == 0, "%s",
              field);
    ws_deflate_free(d[0]);
    CHECK(ws_deflate_negotiate(pool, span_of(with_window), &params, field, &n) && !params.client_no_context_takeover);
    for (int i = 1; i < ALL; i++)
        ws_deflate_free(d[i]);
    CHECK(ws_deflate_budget_left(pool) == WS_DEFLATE_BUDGET);
    ws_deflate_pool_free(pool);
}

/* Connections that have spoken and are silent now. The allocator's own count; a sanitizer has none. */
static void test_memory(void)
{
    enum { SILENT = 2000 };
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    static struct ws_deflate *d[SILENT];
    static char message[200], packed[1000];
    size_t before = mallinfo2().uordblks;
    for (uint32_t i = 0; i < SILENT; i++) {
        struct peer p;
        struct buf to = { 0 };
        struct span out, in = text(message, sizeof message, i);
        d[i] = connect_with(pool, with_window);
        peer_init(&p, 12, 12, true);
        size_t n = peer_compress(&p, in, packed, sizeof packed);
        if (inflate_some(d[i], packed, n, true, &to, NO_LIMIT) != WS_INFLATED ||
            ws_deflate_compress(d[i], in, &out) < 0)
            abort();
        buf_release(&to);
        peer_done(&p);
    }
    size_t used = mallinfo2().uordblks - before, streams = WS_DEFLATE_STREAMS * (34u + 14u) << 10;
    CHECK_MSG(used < streams + SILENT * 400ul, "%zu bytes", used);
    for (int i = 0; i < SILENT; i++)
        ws_deflate_free(d[i]);
    ws_deflate_pool_free(pool);
}

int main(void)
{
    test_offers();
    test_params();
    test_examples();
    test_final_blocks();
    test_bad();
    test_exchange(with_window, 12, 12, true);
    test_exchange(without_context, 12, 12, false);
    test_exchange("permessage-deflate", 15, 15, true);
    test_exchange("permessage-deflate; client_max_window_bits=8; server_max_window_bits=9", 9, 9, true);
    test_exchange("permessage-deflate; client_max_window_bits=10; server_max_window_bits=11", 11, 10, true);
    test_more_connections_than_streams();
    test_all_reading_at_once();
    test_limit();
    test_budget();
    test_memory();
    return unit_done();
}
