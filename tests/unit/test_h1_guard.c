/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_guard.c: the guard against the grammar of RFC 9112 2-5, byte by byte over all 256 values where one stands, and
 * in every cut. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "worker/http1/h1_guard.h"

static const struct h1_limits limits = { 200, 10, 100, 600 };

static const char *const names[] = {
    [H1_GUARD_OK] = "OK",
    [H1_GUARD_MORE] = "MORE",
    [H1_GUARD_BAD] = "BAD",
    [H1_GUARD_TARGET] = "TARGET",
    [H1_GUARD_LINE_TOO_LONG] = "LINE_TOO_LONG",
    [H1_GUARD_FIELDS] = "FIELDS",
    [H1_GUARD_VERSION] = "VERSION",
    [H1_GUARD_H2_PREFACE] = "H2_PREFACE",
};

struct verdict {
    enum h1_guard_result result;
    size_t start, end;
};

/* Shows [0, first), then everything; first = SIZE_MAX: one byte more each time. */
static struct verdict feed(const char *p, size_t n, size_t first)
{
    struct verdict v = { H1_GUARD_MORE, 0, 0 };
    struct h1_scan scan = { 0 };
    bool bytewise = first == SIZE_MAX;
    for (size_t shown = bytewise ? 0 : first; v.result == H1_GUARD_MORE; shown = bytewise ? shown + 1 : n) {
        char *copy = malloc(shown ? shown : 1);
        memcpy(copy, p, shown);
        v.result = h1_guard_head(copy, shown, &limits, &scan, &v.start, &v.end);
        free(copy);
        if (shown == n)
            break;
    }
    return v;
}

static enum h1_guard_result guard(const char *p, size_t n)
{
    struct verdict whole = feed(p, n, n);
    bool same = true;
    for (size_t cut = 0; cut <= n; cut++) {
        struct verdict v = feed(p, n, cut == n ? SIZE_MAX : cut);
        same = same && v.result == whole.result && v.start == whole.start && v.end == whole.end;
    }
    CHECK_MSG(same, "differs when cut: %.60s", p);
    return whole.result;
}

static void expect(enum h1_guard_result want, const char *text)
{
    enum h1_guard_result got = guard(text, strlen(text));
    CHECK_MSG(got == want, "%s, not %s: %s", names[got], names[want], text);
}

static void test_lines(void)
{
    expect(H1_GUARD_OK, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(H1_GUARD_OK, "GET / HTTP/1.0\r\n\r\n");
    expect(H1_GUARD_OK, "M-SEARCH * HTTP/1.1\r\na:\r\n\r\n");
    expect(H1_GUARD_MORE, "");
    expect(H1_GUARD_MORE, "GET / HTTP/1.1\r\nHost: a\r\n");
    expect(H1_GUARD_MORE, "GET / HTTP/1.1\r\nHost: a\r\n\r");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\nHost: a\n\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nHost: a\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nHost: a\r\n\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\rHost: a\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nHost: a\r\n\rX");
    expect(H1_GUARD_BAD, " GET / HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET  / HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET /  HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1 \r\n\r\n");
    expect(H1_GUARD_BAD, "GET\t/ HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET /\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / \r\n\r\n");
    expect(H1_GUARD_TARGET, "GET /a#b HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_TARGET, "GET /\xc3\xa9 HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_TARGET, "GET \xc3\xa9 HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_TARGET, "GET /\x7f HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET /a\tb HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET /\x01 HTTP/1.1\r\n\r\n");
}

static void test_versions(void)
{
    expect(H1_GUARD_VERSION, "GET / HTTP/2.0\r\n\r\n");
    expect(H1_GUARD_VERSION, "GET / HTTP/0.9\r\n\r\n");
    expect(H1_GUARD_VERSION, "GET / HTTP/1.2\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.10\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/11.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / http/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTPS/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / ICE/1.0\r\n\r\n");
}

static void test_preface(void)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    expect(H1_GUARD_H2_PREFACE, preface);
    for (size_t n = 1; n < sizeof(preface) - 1; n++)
        CHECK(guard(preface, n) == H1_GUARD_MORE);
    expect(H1_GUARD_VERSION, "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n");
    expect(H1_GUARD_VERSION, "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    expect(H1_GUARD_OK, "PRI * HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_OK, "PROPFIND / HTTP/1.1\r\n\r\n");
}

static void test_empty_lines(void)
{
    expect(H1_GUARD_OK, "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "\nGET / HTTP/1.1\r\n\r\n");
    expect(H1_GUARD_BAD, "\r GET / HTTP/1.1\r\n\r\n");
    static const char text[] = "\r\n\r\nGET / HTTP/1.1\r\n\r\nnext";
    struct verdict v = feed(text, sizeof(text) - 1, 3);
    CHECK(v.result == H1_GUARD_OK && v.start == 4 && v.end == sizeof(text) - 1 - 4);
}

static void test_fields(void)
{
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\n Host: a\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nX : a\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nX\t: a\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\n: a\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nX\r\n\r\n");
    expect(H1_GUARD_BAD, "GET / HTTP/1.1\r\nX:\rY: 1\r\n\r\n");
    expect(H1_GUARD_OK, "GET / HTTP/1.1\r\nX:a:b\r\nX: \t\xe9 \t\r\n\r\n");
}

/* tchar, RFC 9110 5.6.2; spelled out apart from the code's table. */
static bool is_tchar(int c)
{
    return c &&
           ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_value_byte(int c)
{
    return c == '\t' || c == ' ' || (c >= 0x21 && c <= 0x7e) || c >= 0x80;
}

/* Every byte at every distance from the start of a run, so that each lane of a wide compare is met. */
static void sweep(const char *before, size_t run, char filler, const char *after, char sp, bool (*allowed)(int))
{
    char text[200];
    for (size_t at = 0; at < run; at++) {
        for (int c = 0; c < 256; c++) {
            size_t n = (size_t)snprintf(text, sizeof(text), "%s", before);
            memset(text + n, filler, run);
            text[n + at] = (char)c;
            snprintf(text + n + run, sizeof(text) - n - run, "%s", after);
            if (c == sp || c == '\r')
                continue; /* ends the run: another line of the grammar */
            n += run + strlen(after);
            bool ok = feed(text, n, n).result == H1_GUARD_OK;
            CHECK_MSG(ok == allowed(c), "byte %02x at %zu behind %s", (unsigned)c, at, before);
        }
    }
}

static bool is_target_byte(int c)
{
    return c >= 0x21 && c <= 0x7e && c != '#';
}

static void test_bytes(void)
{
    sweep("GET /", 35, 'a', " HTTP/1.1\r\n\r\n", ' ', is_target_byte);
    sweep("GET / HTTP/1.1\r\nX:", 35, 'a', "\r\n\r\n", '\r', is_value_byte);
    sweep("GET / HTTP/1.1\r\n", 3, 'a', ": v\r\n\r\n", ':', is_tchar);
    sweep("", 3, 'A', " / HTTP/1.1\r\n\r\n", ' ', is_tchar);
}

/* A line of `n` bytes without CRLF, then the rest; the limit is met exactly and passed by one. */
static enum h1_guard_result guard_long(const char *before, size_t n, const char *after)
{
    char text[1024];
    size_t at = strlen(before), keep = strlen(after) - 4; /* `after` ends its line and the head */
    memcpy(text, before, at);
    const char *line = strrchr(before, '\n');
    size_t begun = line ? strlen(line + 1) : at;
    memset(text + at, 'a', n - begun - keep);
    at += n - begun - keep;
    memcpy(text + at, after, strlen(after));
    return guard(text, at + strlen(after));
}

static void test_limits(void)
{
    CHECK(guard_long("GET /", 200, " HTTP/1.1\r\n\r\n") == H1_GUARD_OK);
    CHECK(guard_long("GET /", 201, " HTTP/1.1\r\n\r\n") == H1_GUARD_LINE_TOO_LONG);
    CHECK(guard_long("GET /", 400, " HTTP/1.1\r\n\r\n") == H1_GUARD_LINE_TOO_LONG);
    CHECK(guard_long("", 400, " / HTTP/1.1\r\n\r\n") == H1_GUARD_LINE_TOO_LONG);
    /* limit_request_field_size counts the CRLF, as in gunicorn */
    CHECK(guard_long("GET / HTTP/1.1\r\nX:", 98, "\r\n\r\n") == H1_GUARD_OK);
    CHECK(guard_long("GET / HTTP/1.1\r\nX:", 99, "\r\n\r\n") == H1_GUARD_FIELDS);
    CHECK(guard_long("GET / HTTP/1.1\r\n", 98, ":\r\n\r\n") == H1_GUARD_OK);
    CHECK(guard_long("GET / HTTP/1.1\r\n", 99, ":\r\n\r\n") == H1_GUARD_FIELDS);
    expect(H1_GUARD_OK, "GET / HTTP/1.1\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n");
    expect(H1_GUARD_FIELDS, "GET / HTTP/1.1\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\nb:\r\n\r\n");
    /* reported before the line has ended */
    char target[300] = "GET /";
    memset(target + 5, 'a', 290);
    CHECK(guard(target, 295) == H1_GUARD_LINE_TOO_LONG);
}

/* A line of `line` bytes and fields, with CRLF behind each; `n` bytes in all with the end. */
static enum h1_guard_result guard_head_of(const char *line, size_t n)
{
    char text[1024];
    size_t at = strlen(line);
    memcpy(text, line, at);
    while (at < n - 2) {
        size_t field = n - 2 - at < 2 * 90 ? n - 2 - at : 90;
        if (field > 98)
            field /= 2;
        memset(text + at, 'a', field);
        text[at + 1] = ':';
        text[at + field - 2] = '\r';
        text[at + field - 1] = '\n';
        at += field;
    }
    text[at] = '\r';
    text[at + 1] = '\n';
    return guard(text, n);
}

static void test_limit_of_all(void)
{
    static const char line[] = "GET / HTTP/1.1\r\n";
    CHECK(guard_head_of(line, 600) == H1_GUARD_OK);
    CHECK(guard_head_of(line, 601) == H1_GUARD_FIELDS);
    CHECK(guard_head_of(line, 700) == H1_GUARD_FIELDS);
    CHECK(guard_head_of("\r\n\r\nGET / HTTP/1.1\r\n", 600) == H1_GUARD_OK);
    CHECK(guard_head_of("\r\n\r\nGET / HTTP/1.1\r\n", 601) == H1_GUARD_FIELDS);
    /* what is wrong behind the limit does not count, and a line that would fit into its own limit is a line */
    static const struct h1_limits small = { 200, 10, 100, 20 };
    struct h1_scan scan = { 0 };
    size_t start, end;
    CHECK(h1_guard_head("GET / HTTP/1.1\r\na: b\1", 21, &small, &scan, &start, &end) == H1_GUARD_FIELDS);
    scan = (struct h1_scan){ 0 };
    CHECK(h1_guard_head("GET /a/very/long/path", 20, &small, &scan, &start, &end) == H1_GUARD_MORE);
    CHECK(h1_guard_head("GET /a/very/long/path", 21, &small, &scan, &start, &end) == H1_GUARD_LINE_TOO_LONG);
}

static void test_early(void)
{
    CHECK(guard("\x16\x03\x01", 3) == H1_GUARD_BAD);
    CHECK(guard("GET /\0", 6) == H1_GUARD_BAD);
    CHECK(guard("GET / HTTX", 10) == H1_GUARD_BAD);
    CHECK(guard("GET / HTTP/3", 12) == H1_GUARD_MORE);
    CHECK(guard("GET / HTTP/3.0", 14) == H1_GUARD_VERSION);
}

static void test_trailers(void)
{
    static const struct {
        const char *text;
        enum h1_guard_result want;
        size_t end;
    } cases[] = {
        { "\r\n", H1_GUARD_OK, 2 },       { "\r\nGET", H1_GUARD_OK, 2 },   { "X: 1\r\n\r\nGET", H1_GUARD_OK, 8 },
        { "X: 1\r\n", H1_GUARD_MORE, 0 }, { "", H1_GUARD_MORE, 0 },        { "\rX", H1_GUARD_BAD, 0 },
        { "\n", H1_GUARD_BAD, 0 },        { "X: 1\n\n", H1_GUARD_BAD, 0 }, { " X: 1\r\n\r\n", H1_GUARD_BAD, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct h1_scan scan = { 0 };
        size_t end = 0;
        enum h1_guard_result got = h1_guard_trailers(cases[i].text, strlen(cases[i].text), &limits, &scan, &end);
        CHECK_MSG(got == cases[i].want && end == cases[i].end, "trailers %s: %s", cases[i].text, names[got]);
    }
}

int main(void)
{
    test_lines();
    test_versions();
    test_preface();
    test_empty_lines();
    test_fields();
    test_bytes();
    test_limits();
    test_limit_of_all();
    test_early();
    test_trailers();
    return unit_done();
}
