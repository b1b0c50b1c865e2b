/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_parse.c: what a request is made of after the parser: spans, known fields, keep-alive, Expect, TE. */
#include "tests/unit/head.h"
#include "tests/unit/unit.h"

static void test_spans(void)
{
    struct req r;
    head_make(&r,
              "\r\nPOST /a?b HTTP/1.1\r\nHOST: \t x \t\r\nX-Empty:\r\nX-Blank: \r\nA: 1\r\na:2\r\nA: \xe9 b\r\n\r\n");
    CHECK(is(req_span(&r, r.method), "POST") && is(req_span(&r, r.target), "/a?b") && r.version == HTTP_1_1);
    CHECK(r.n_fields == 6 && !r.is_head && !r.head_owned);
    static const char *const want[][2] = {
        { "host", "x" }, { "x-empty", "" }, { "x-blank", "" }, { "a", "1" }, { "a", "2" }, { "a", "\xe9 b" },
    };
    for (uint32_t i = 0; i < 6 && i < r.n_fields; i++)
        CHECK(is(req_span(&r, r.fields[i].name), want[i][0]) && is(req_span(&r, r.fields[i].value), want[i][1]));
    CHECK(is(req_known(&r, FIELD_HOST), "x") && !req_known(&r, FIELD_CONNECTION).p);
    head_free(&r);

    head_make(&r, "HEAD / HTTP/1.0\r\n\r\n");
    CHECK(r.is_head && r.version == HTTP_1_0 && r.n_fields == 0 && !r.keep_alive);
    head_free(&r);
}

static void test_known(void)
{
    static const struct {
        const char *name;
        enum known_field which;
    } names[] = {
        { "Host", FIELD_HOST },
        { "Content-Length", FIELD_CONTENT_LENGTH },
        { "Transfer-Encoding", FIELD_TRANSFER_ENCODING },
        { "Connection", FIELD_CONNECTION },
        { "Expect", FIELD_EXPECT },
        { "Upgrade", FIELD_UPGRADE },
        { "TE", FIELD_TE },
        { "Forwarded", FIELD_FORWARDED },
        { "X-Forwarded-For", FIELD_X_FORWARDED_FOR },
        { "X-Forwarded-Proto", FIELD_X_FORWARDED_PROTO },
        { "X-Forwarded-Host", FIELD_X_FORWARDED_HOST },
        { "X-Forwarded-Port", FIELD_X_FORWARDED_PORT },
        { "X-Forwarded-Prefix", FIELD_X_FORWARDED_PREFIX },
        { "Referer", FIELD_REFERER },
        { "User-Agent", FIELD_USER_AGENT },
        { "Authorization", FIELD_AUTHORIZATION },
    };
    _Static_assert(sizeof(names) / sizeof(*names) == N_KNOWN_FIELDS, "each known field is tested");
    for (size_t i = 0; i < N_KNOWN_FIELDS; i++) {
        struct req r;
        char text[200];
        const char *value = names[i].which == FIELD_CONTENT_LENGTH      ? "0"
                            : names[i].which == FIELD_TRANSFER_ENCODING ? "chunked"
                                                                        : "v";
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX: 0\r\n%s: %s\r\nX: 1\r\n\r\n", names[i].name, value);
        head_make(&r, text);
        for (int k = 0; k < N_KNOWN_FIELDS; k++)
            CHECK_MSG(r.known[k] == (k == (int)names[i].which ? 2 : 0), "%s", names[i].name);
        head_free(&r);
    }
    struct req r;
    head_make(&r, "GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\nXForwardedFor: c\r\nHos: d\r\n\r\n");
    CHECK(is(req_known(&r, FIELD_X_FORWARDED_FOR), "a") && !r.known[FIELD_HOST]);
    head_free(&r);
}

static void test_keep_alive(void)
{
    static const struct {
        const char *version, *fields;
        bool want;
    } cases[] = {
        { "1.1", "", true },
        { "1.0", "", false },
        { "1.0", "Connection: keep-alive\r\n", true },
        { "1.0", "Connection: Keep-Alive\r\n", true },
        { "1.1", "Connection: close\r\n", false },
        { "1.1", "Connection: CLOSE\r\n", false },
        { "1.1", "Connection: foo, close\r\n", false },
        { "1.1", "Connection: keep-alive, close\r\n", false },
        { "1.0", "Connection: keep-alive, close\r\n", false },
        { "1.1", "Connection: keep-alive\r\nConnection: close\r\n", false },
        { "1.1", "Connection: ,, ,close ,\r\n", false },
        { "1.1", "Connection: closed\r\n", true },
        { "1.1", "Connection: xclose\r\n", true },
        { "1.0", "Connection: Upgrade\r\nUpgrade: foo\r\n", false },
        { "1.1", "Connection: Upgrade\r\nUpgrade: foo\r\n", true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct req r;
        char text[200];
        snprintf(text, sizeof(text), "GET / HTTP/%s\r\n%s\r\n", cases[i].version, cases[i].fields);
        head_make(&r, text);
        CHECK_MSG(r.keep_alive == cases[i].want, "%s", text);
        head_free(&r);
    }
}

static void test_options(void)
{
    struct req r;
    head_make(&r, "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nTE: deflate;q=0.5, trailers\r\n\r\n");
    CHECK(r.expect_continue && r.te_trailers);
    head_free(&r);
    head_make(&r, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nTE: trailersx\r\n\r\n");
    CHECK(!r.expect_continue && !r.te_trailers);
    head_free(&r);
}

static void test_refusals(void)
{
    struct req r;
    memset(&r, 0, sizeof(r));
    static const struct {
        const char *text;
        enum h1_parse_result want;
    } cases[] = {
        { "get / HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "BREW / HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "G / HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "MSEARCH / HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "BREW http://a/ HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "BREW foo HTTP/1.1\r\n\r\n", H1_PARSE_BAD },
        { "connect a:80 HTTP/1.1\r\n\r\n", H1_PARSE_BAD },
        { "CONNECT a:80 HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "M-SEARCH / HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "PATCH / HTTP/1.1\r\n\r\n", H1_PARSE_OK },
        { "GET foo HTTP/1.1\r\n\r\n", H1_PARSE_BAD },
        { "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", H1_PARSE_LENGTH_INVALID },
        { "GET / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\n", H1_PARSE_LENGTH_INVALID },
        { "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", H1_PARSE_LENGTH_INVALID },
        { "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", H1_PARSE_LENGTH_REPEATED },
        { "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", H1_PARSE_CODING_WITH_LENGTH },
        { "GET / HTTP/1.1\r\nContent-Length: 1\t \r\nX: \ta\tb\t\r\n\r\n", H1_PARSE_OK },
    };
    char head[200]; /* the last request is looked at after the loop */
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t n = strlen(cases[i].text);
        memcpy(head, cases[i].text, n);
        CHECK_MSG(h1_parse_head(&r, head, n) == cases[i].want, "%s", cases[i].text);
        CHECK(r.method.n && r.target.n && (cases[i].want == H1_PARSE_OK || (r.n_fields == 0 && !r.known[0])));
    }
    CHECK(is(req_span(&r, r.fields[1].value), "a\tb"));
    free(r.fields);
}

/* Above the 80 KB that http-parser takes by itself, and more fields than one growth step. The memory is used again. */
static void test_large(void)
{
    enum { FIELDS = 1000, SIZE = FIELDS * 210 };
    struct req r;
    memset(&r, 0, sizeof(r));
    char *head = malloc(SIZE);
    for (int round = 0; round < 2; round++) {
        size_t n = (size_t)snprintf(head, SIZE, "GET / HTTP/1.1\r\n");
        for (int i = 0; i < FIELDS; i++)
            n += (size_t)snprintf(head + n, SIZE - n, "X-%d: %0200d\r\n", i, i);
        n += (size_t)snprintf(head + n, SIZE - n, "\r\n");
        CHECK(h1_parse_head(&r, head, n) == H1_PARSE_OK && r.n_fields == FIELDS);
        CHECK(is(req_span(&r, r.fields[FIELDS - 1].name), "x-999"));
    }
    free(head);
    free(r.fields);
}

int main(void)
{
    test_spans();
    test_known();
    test_keep_alive();
    test_options();
    test_refusals();
    test_large();
    return unit_done();
}
