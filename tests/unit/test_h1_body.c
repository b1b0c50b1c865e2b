/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_body.c: body framing against RFC 9112 6.3 and 7.1, whole and cut everywhere. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "worker/http1/h1_body.h"

static const struct h1_limits limits = { 8190, 20, 8190, 65536 };

struct result {
    enum h1_body_state state;
    size_t used, n;
    char data[256]; /* the beginning */
};

/* Bytes come in pieces of `step` after the first `first`; the caller keeps what was not used, as a connection does. */
static struct result feed(struct h1_body b, const char *p, size_t n, size_t first, size_t step)
{
    struct result r = { .used = 0 };
    size_t shown = first < n ? first : n;
    for (;;) {
        size_t left = shown - r.used, had = left, run;
        char *copy = malloc(left ? left : 1);
        memcpy(copy, p + r.used, left);
        const char *q = copy, *data;
        bool more = true;
        while (more && left && b.state != H1_BODY_DONE && b.state != H1_BODY_BAD) {
            more = h1_body_feed(&b, &q, &left, &data, &run);
            for (size_t i = 0; i < run; i++, r.n++) {
                if (r.n < sizeof(r.data) - 1)
                    r.data[r.n] = data[i];
            }
        }
        r.used += had - left;
        free(copy);
        if (b.state == H1_BODY_DONE || b.state == H1_BODY_BAD || shown == n)
            break;
        shown = n - shown > step ? shown + step : n;
    }
    r.state = b.state;
    return r;
}

static struct result run(struct h1_body b, const char *p, size_t n)
{
    struct result whole = feed(b, p, n, n, 1);
    bool same = true;
    for (size_t cut = 0; cut <= n; cut++) {
        struct result r = feed(b, p, n, cut < n ? cut : 0, cut < n ? n : 1);
        same = same && r.state == whole.state && r.n == whole.n && strcmp(r.data, whole.data) == 0 &&
               (r.state == H1_BODY_BAD || r.used == whole.used);
    }
    CHECK_MSG(same, "differs when cut: %.60s", p);
    return whole;
}

static struct h1_body chunked(void)
{
    struct h1_body b;
    h1_body_init_chunked(&b, &limits);
    return b;
}

static void accepts(const char *text, const char *data)
{
    char all[600];
    size_t n = (size_t)snprintf(all, sizeof(all), "%sNEXT", text);
    struct result r = run(chunked(), all, n);
    CHECK_MSG(r.state == H1_BODY_DONE && strcmp(r.data, data) == 0 && r.used == n - 4, "not accepted: %s", text);
}

static void refuses(const char *text)
{
    struct result r = run(chunked(), text, strlen(text));
    CHECK_MSG(r.state == H1_BODY_BAD, "not refused: %s", text);
}

static void test_counted(void)
{
    struct h1_body b;
    h1_body_init_counted(&b, 0);
    CHECK(b.state == H1_BODY_DONE);
    h1_body_init_counted(&b, 5);
    struct result r = run(b, "helloGET", 8);
    CHECK(r.state == H1_BODY_DONE && strcmp(r.data, "hello") == 0 && r.used == 5);
    r = run(b, "hel", 3);
    CHECK(r.state == H1_BODY_COUNTED && r.n == 3);
}

static void test_chunks(void)
{
    accepts("0\r\n\r\n", "");
    accepts("5\r\nhello\r\n0\r\n\r\n", "hello");
    accepts("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world");
    accepts("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789");
    accepts("0000000000000005\r\n\r\n\r\n\r\r\n0\r\n\r\n", "\r\n\r\n\r"); /* 16 digits; data is opaque */
    refuses("00000000000000005\r\nhello\r\n0\r\n\r\n");
    refuses("ffffffffffffffff\r\nx");
    refuses("8000000000000000\r\nx");
    refuses("\r\nhello\r\n0\r\n\r\n");
    refuses("0x5\r\nhello\r\n");
    refuses("-5\r\nhello\r\n");
    refuses("+5\r\nhello\r\n");
    refuses("0_5\r\nhello\r\n");
    refuses(" 5\r\nhello\r\n");
    refuses("5 \r\nhello\r\n");
    refuses("5\t\r\nhello\r\n");
    refuses("5 junk\r\nhello\r\n");
    refuses("5\nhello\r\n");
    refuses("5\rXhello\r\n");
    refuses("5\r\nhelloXX0\r\n");
    refuses("5\r\nhello\n0\r\n\r\n");
    refuses("5\r\nhello\r0\r\n\r\n");
    refuses("5\r\nhello0\r\n\r\n");
    refuses("0\n\n");
    refuses("0\rX");
    struct result r = run(chunked(), "7fffffffffffffff\r\nx", 19);
    CHECK(r.state == H1_BODY_CHUNK_DATA && r.n == 1);
    r = run(chunked(), "0\r\n", 3);
    CHECK(r.state == H1_BODY_TRAILERS);
}

/* RFC 9112 7.1.1 */
static void test_extensions(void)
{
    accepts("5;a\r\nhello\r\n0;b\r\n\r\n", "hello");
    accepts("5;a=b;c=\"d e\"\r\nhello\r\n0\r\n\r\n", "hello");
    accepts("5 ; a = b ; c\t=\t\"\" ;d\r\nhello\r\n0\r\n\r\n", "hello");
    accepts("5; some; parameters=stuff\r\nhello\r\n0\r\n\r\n", "hello");
    accepts("5;a=\"\\\"\\\\;\t\xe9\"\r\nhello\r\n0\r\n\r\n", "hello");
    refuses("5;\r\nhello\r\n0\r\n\r\n");
    refuses("5;=b\r\nhello\r\n0\r\n\r\n");
    refuses("5;a=\r\nhello\r\n0\r\n\r\n");
    refuses("5;a b\r\nhello\r\n0\r\n\r\n");
    refuses("5;a \r\nhello\r\n0\r\n\r\n");
    refuses("5;a=b c\r\nhello\r\n0\r\n\r\n");
    refuses("5;a=\"b\r\nhello\r\n0\r\n\r\n");
    refuses("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n");
    refuses("5;a=\"b\\\r\nhello\r\n0\r\n\r\n");
    refuses("5;a\nb\r\nhello\r\n0\r\n\r\n");
    refuses("5;a\rb\r\nhello\r\n0\r\n\r\n");
    refuses("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n");
    refuses("5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n");
    refuses("5;a(b\r\nhello\r\n0\r\n\r\n");
    struct result r = run(chunked(), "5;a\0b\r\n", 7);
    CHECK(r.state == H1_BODY_BAD);

    char text[400];
    for (int n = 255; n <= 256; n++) {
        snprintf(text, sizeof(text), "0;%0*d\r\n\r\n", n, 0);
        if (n == 255)
            accepts(text, "");
        else
            refuses(text);
    }
}

static void test_trailers(void)
{
    accepts("0\r\nX-T: 1\r\n\r\n", "");
    accepts("0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n", "");
    accepts("0\r\nhostname: x\r\nX: Content-Length: 5\r\n\r\n", "");
    refuses("0\r\nContent-Length: 5\r\n\r\n");
    refuses("0\r\nX: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n");
    refuses("0\r\nhost: x\r\n\r\n");
    refuses("0\r\nConnection: close\r\n\r\n");
    refuses("0\r\nAuthorization: x\r\n\r\n");
    refuses("0\r\nX-T: 1\n\n");
    refuses("0\r\nX : 1\r\n\r\n");
    refuses("0\r\n X: 1\r\n\r\n");
    refuses("0\r\n\rXGET");
    char text[400] = "0\r\n";
    for (int i = 0; i < 20; i++)
        strcat(text, "a: 1\r\n");
    strcat(text, "\r\n");
    accepts(text, "");
    text[strlen(text) - 2] = '\0';
    strcat(text, "b: 1\r\n\r\n");
    refuses(text);
}

/* A section of many fields within the limits of each, but larger than anybody keeps. */
static void test_trailers_size(void)
{
    size_t n = 3, size = 20 * 5000;
    char *text = malloc(size);
    memcpy(text, "0\r\n", 3);
    for (int i = 0; i < 15; i++)
        n += (size_t)snprintf(text + n, size - n, "a: %04900d\r\n", i);
    n += (size_t)snprintf(text + n, size - n, "\r\n");
    CHECK(feed(chunked(), text, n, n, 1).state == H1_BODY_BAD);
    CHECK(feed(chunked(), text, n, 0, 1000).state == H1_BODY_BAD);
    free(text);
}

/* Framing may cost 16 KB; after that, four times the data. */
static void test_overhead(void)
{
    static const struct {
        const char *chunk;
        size_t count;
        bool ok;
    } cases[] = {
        { "1\r\na\r\n", 2000, true },
        { "1\r\na\r\n", 4000, false },
        { "2\r\naa\r\n", 100000, true },
        { "1;a=bbbbbbbbbbbbbbbbbbbb\r\na\r\n", 1000, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t one = strlen(cases[i].chunk), n = one * cases[i].count;
        char *text = malloc(n + 5);
        for (size_t k = 0; k < cases[i].count; k++)
            memcpy(text + k * one, cases[i].chunk, one);
        memcpy(text + n, "0\r\n\r\n", 5);
        enum h1_body_state want = cases[i].ok ? H1_BODY_DONE : H1_BODY_BAD;
        CHECK_MSG(feed(chunked(), text, n + 5, n + 5, 1).state == want, "%zu of %s", cases[i].count, cases[i].chunk);
        free(text);
    }
}

int main(void)
{
    test_counted();
    test_chunks();
    test_extensions();
    test_trailers();
    test_trailers_size();
    test_overhead();
    return unit_done();
}
