/* SPDX-License-Identifier: BSD-3-Clause */
/* test_ws_handshake.c: what is an opening handshake, its proof (RFC 6455 1.3), SHA-1 (RFC 3174 7.3), UTF-8, close codes. */
#include "tests/unit/head.h"
#include "tests/unit/unit.h"
#include "worker/ws/ws.h"
#include "worker/ws/ws_key.h"
#include "worker/ws/ws_sha1.h"
#include "worker/ws/ws_utf8.h"

#define LINE "GET /chat HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

static void judge(enum ws_ask ask, unsigned status, const char *head)
{
    struct req r;
    head_make(&r, head);
    r.content_length = strstr(head, "Content-Length: 5") ? 5 : -1;
    r.chunked = strstr(head, "chunked") != NULL;
    struct ws_verdict v = ws_judge(&r);
    CHECK_MSG(v.ask == ask && v.status == status, "%d %u (%s) for %s", (int)v.ask, v.status, v.why ? v.why : "", head);
    head_free(&r);
}

static void test_judge(void)
{
    judge(WS_ASKED, 0, LINE UPGRADE KEY VERSION "\r\n");
    judge(WS_ASKED, 0, LINE "upgrade: WEBSOCKET\r\nconnection: x, UPGRADE ,y\r\n" KEY VERSION "\r\n");
    judge(WS_ASKED, 0, LINE UPGRADE KEY VERSION "Sec-WebSocket-Protocol: , a,,b\r\n\r\n");
    judge(WS_NOT_ASKED, 0, LINE "\r\n");
    judge(WS_NOT_ASKED, 0, LINE "Upgrade: websocket\r\n" KEY VERSION "\r\n");
    judge(WS_NOT_ASKED, 0, LINE "Upgrade: websockets\r\nConnection: Upgrade\r\n" KEY VERSION "\r\n");
    judge(WS_NOT_ASKED, 0, "GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE KEY VERSION "\r\n");
    judge(WS_NOT_ASKED, 0, "POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEY VERSION "\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE VERSION "\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE KEY KEY VERSION "\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE KEY "\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE KEY VERSION VERSION "\r\n");
    judge(WS_REFUSE, 426, LINE UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE KEY VERSION "Content-Length: 5\r\n\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE KEY VERSION "Transfer-Encoding: chunked\r\n\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a b\r\n\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n" VERSION "\r\n");
    judge(WS_REFUSE, 400, LINE UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j.Q==\r\n" VERSION "\r\n");
}

static void test_subprotocols(void)
{
    struct req r;
    struct ws_offer cursor = { 0 };
    struct span name;
    head_make(&r, LINE
              "Sec-WebSocket-Protocol: a, b ,\r\nX: y\r\nSec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: c\r\n\r\n");
    static const char *const want[] = { "a", "b", "c" };
    for (int i = 0; i < 3; i++)
        CHECK_MSG(ws_next_subprotocol(&r, &cursor, &name) && is(name, want[i]), "number %d", i);
    CHECK(!ws_next_subprotocol(&r, &cursor, &name));
    head_free(&r);
}

static void test_proof(void)
{
    char proof[WS_ACCEPT_LENGTH];
    ws_accept_key(SPAN("dGhlIHNhbXBsZSBub25jZQ=="), proof);
    CHECK(!memcmp(proof, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WS_ACCEPT_LENGTH));
}

static void sha1_is(struct span text, const char *want)
{
    uint8_t digest[WS_SHA1_SIZE];
    char hex[2 * WS_SHA1_SIZE + 1];
    ws_sha1(text, digest);
    for (int i = 0; i < WS_SHA1_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    CHECK_MSG(strcmp(hex, want) == 0, "%s for %zu bytes", hex, text.n);
}

static void test_sha1(void)
{
    char many[640];
    sha1_is(SPAN("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    sha1_is(SPAN("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    for (int i = 0; i < 10; i++)
        memcpy(many + 64 * i, "0123456701234567012345670123456701234567012345670123456701234567", 64);
    sha1_is((struct span){ many, sizeof many }, "dea356a2cddd90c7a7ecedc5ebb563934f460452");
    sha1_is(SPAN(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

/* Whole, and cut at every place. */
static void utf8_is(bool good, struct span text)
{
    CHECK_MSG(ws_utf8_is_good(text) == good, "\"%.*s\"", (int)text.n, text.p);
    for (size_t cut = 0; cut <= text.n; cut++) {
        struct ws_utf8 u = { 0 };
        bool got = ws_utf8_feed(&u, (struct span){ text.p, cut }) &&
                   ws_utf8_feed(&u, (struct span){ text.p + cut, text.n - cut }) && ws_utf8_is_whole(&u);
        CHECK_MSG(got == good, "\"%.*s\" cut at %zu", (int)text.n, text.p, cut);
    }
}

static void test_utf8(void)
{
    utf8_is(true, SPAN(""));
    utf8_is(true, SPAN("plain text that is longer than eight bytes"));
    utf8_is(true, SPAN("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"));
    utf8_is(true, SPAN("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf\xef\xbf\xbf\x7f\xc2\x80\xe0\xa0\x80"));
    utf8_is(false, SPAN("12345678\x80"));
    utf8_is(false, SPAN("\xc0\xaf"));
    utf8_is(false, SPAN("\xc1\xbf"));
    utf8_is(false, SPAN("\xe0\x9f\xbf"));
    utf8_is(false, SPAN("\xed\xa0\x80"));
    utf8_is(false, SPAN("\xf0\x8f\xbf\xbf"));
    utf8_is(false, SPAN("\xf4\x90\x80\x80"));
    utf8_is(false, SPAN("\xf5\x80\x80\x80"));
    utf8_is(false, SPAN("\xff"));
    utf8_is(false, SPAN("\xe2\x82"));
    utf8_is(false, SPAN("\xe2\x28\xa1"));
    /* at the first byte that cannot be right */
    struct ws_utf8 u = { 0 };
    CHECK(ws_utf8_feed(&u, SPAN("a\xed")) && !ws_utf8_feed(&u, SPAN("\xa0")));
}

static void test_codes(void)
{
    static const unsigned good[] = { 1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999 };
    static const unsigned bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535 };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_MSG(ws_code_is_good(good[i]), "%u", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!ws_code_is_good(bad[i]), "%u", bad[i]);
}

int main(void)
{
    test_judge();
    test_subprotocols();
    test_proof();
    test_sha1();
    test_utf8();
    test_codes();
    return unit_done();
}
