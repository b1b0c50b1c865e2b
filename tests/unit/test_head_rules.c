/* SPDX-License-Identifier: BSD-3-Clause */
/* test_head_rules.c: each refusal with a head that earns it and a near one that does not. Heads are put together field
 * by field, past the parser, which would refuse some of them first: HTTP/2 comes without it. */
#include "tests/unit/head.h"
#include "tests/unit/unit.h"
#include "worker/http/head_rules.h"

/* Text of a head, split the simplest way; field names must be lower-case, "name:value". */
static void make(struct req *r, char *text, enum http_version version)
{
    memset(r, 0, sizeof(*r));
    r->head = text;
    r->version = version;
    r->fields = calloc(40, sizeof(*r->fields));
    size_t line = strcspn(text, "\n"), method = strcspn(text, " ");
    r->method = (struct piece){ 0, (uint32_t)method };
    r->target = (struct piece){ (uint32_t)method + 1, (uint32_t)(line - method - 1) };
    for (size_t at = line + 1; text[at];) {
        size_t n = strcspn(text + at, "\n"), name = strcspn(text + at, ":");
        struct field *f = &r->fields[r->n_fields++];
        f->name = (struct piece){ (uint32_t)at, (uint32_t)name };
        f->value = (struct piece){ (uint32_t)(at + name + 1), (uint32_t)(n - name - 1) };
        int known = head_rules_known(req_span(r, f->name));
        if (known >= 0 && !r->known[known])
            r->known[known] = (uint16_t)r->n_fields;
        at += n + 1;
    }
}

/* want: name of a refusal, or NULL. */
static void judge(enum http_version version, const char *want, const char *text)
{
    struct req r;
    char *copy = strdup(text);
    make(&r, copy, version);
    const struct refusal *got = head_rules_judge(&r, 1000);
    CHECK_MSG(want ? got && strcmp(got->name, want) == 0 : !got, "%s, not %s: %s", got ? got->name : "accepted",
              want ? want : "accepted", text);
    free(r.fields);
    free(copy);
}

static void h11(const char *want, const char *text)
{
    judge(HTTP_1_1, want, text);
}

static void test_host(void)
{
    h11("host-missing", "GET /\n");
    judge(HTTP_1_0, NULL, "GET /\n");
    judge(HTTP_2, NULL, "GET /\n");
    h11("host-repeated", "GET /\nhost:a\nhost:a\n");
    judge(HTTP_1_0, "host-repeated", "GET /\nhost:a\nhost:b\n");
    static const char *const valid[] = {
        "",
        "a",
        "a.example",
        "a.example.",
        "a_b",
        "1.2.3.4",
        "1.2.3.4:80",
        "a:",
        "a:0",
        "a:65535",
        "[::1]",
        "[::1]:80",
        "[2001:db8::1.2.3.4]:8443",
        "%41",
        "0.0.0.0=5000",
        "~-!$&'()*+;=",
    };
    static const char *const invalid[] = {
        "a b",      "a, b", "a,b",     "a/b", "a?b",  "a#b",  "u@a",    "a:b",         "a:65536",
        "a:000080", "a:-1", "a:80:80", ":80", "[::1", "[]",   "[::1]x", "[::g]",       "[::1%25lo]",
        "[v1.x]",   "::1",  "%4",      "%zz", "a\"b", "a<b>", "a\\b",   "caf\xc3\xa9", "[",
    };
    for (size_t i = 0; i < sizeof(valid) / sizeof(*valid); i++)
        CHECK_MSG(head_rules_valid_host(span_of(valid[i])), "%s", valid[i]);
    for (size_t i = 0; i < sizeof(invalid) / sizeof(*invalid); i++)
        CHECK_MSG(!head_rules_valid_host(span_of(invalid[i])), "%s", invalid[i]);
    h11("host-invalid", "GET /\nhost:a b\n");
    h11("host-invalid", "GET http://a/\nhost:a b\n");
    h11(NULL, "GET /\nhost:\n");
}

static void split(const char *text, const char *path, const char *query, const char *host)
{
    struct req r;
    char *copy = strdup(text);
    make(&r, copy, HTTP_1_1);
    CHECK_MSG(!head_rules_judge(&r, 0) && is(req_span(&r, r.path), path) && is(req_span(&r, r.query), query) &&
                  is(req_known(&r, FIELD_HOST), host),
              "%s", text);
    free(r.fields);
    free(copy);
}

static void test_target(void)
{
    split("GET /\nhost:a\n", "/", "", "a");
    split("GET /x?\nhost:a\n", "/x", "", "a");
    split("GET /x?y?z/\nhost:a\n", "/x", "y?z/", "a");
    split("GET //x\nhost:a\n", "//x", "", "a");
    split("GET /%00%fF?%zz\nhost:a\n", "/%00%fF", "%zz", "a");
    split("OPTIONS *\nhost:a\n", "*", "", "a");
    split("GET http://b/x?y\nhost:a\n", "/x", "y", "b");
    split("GET HTTPS://[::1]:8080/\nhost:a\n", "/", "", "[::1]:8080");
    split("GET http://b\nhost:a\n", "/", "", "b");
    split("GET http://b?q\nhost:a\n", "/", "q", "b");
    split("GET http://b:/?\nhost:\n", "/", "", "b:");
    split("GET http://b/http://c@d\nhost:a\n", "/http://c@d", "", "b");
    h11("target-form", "GET *\nhost:a\n");
    h11("target-form", "OPTIONS *x\nhost:a\n");
    h11("target-form", "GET a:80\nhost:a\n");
    h11("target-form", "GET x/y\nhost:a\n");
    h11("target-form", "GET ?x\nhost:a\n");
    h11("target-form", "GET http:/x\nhost:a\n");
    h11("target-scheme", "GET ftp://a/\nhost:a\n");
    h11("target-scheme", "GET ://a/\nhost:a\n");
    h11("target-authority", "GET http:///x\nhost:a\n");
    h11("target-authority", "GET http://?x\nhost:a\n");
    h11("target-authority", "GET http://a:b/\nhost:a\n");
    h11("target-userinfo", "GET http://u:p@b/\nhost:a\n");
    h11("target-userinfo", "GET http://@b/\nhost:a\n");
    h11(NULL, "GET /%zz\nhost:a\n");
    h11(NULL, "GET /%2\nhost:a\n");
    h11(NULL, "GET /a%\nhost:a\n");
    h11(NULL, "GET http://b/%\nhost:a\n");
    h11("connect", "CONNECT a:443\nhost:a\n");
    judge(HTTP_1_0, NULL, "GET http://b/\n");
}

static void test_coding(void)
{
    h11(NULL, "POST /\nhost:a\ntransfer-encoding:chunked\n");
    h11(NULL, "POST /\nhost:a\ntransfer-encoding:CHUNKED\n");
    judge(HTTP_1_0, "coding-version", "POST /\ntransfer-encoding:chunked\n");
    judge(HTTP_2, "connection-field", "POST /\ntransfer-encoding:chunked\n");
    h11("coding-with-length", "POST /\nhost:a\ntransfer-encoding:chunked\ncontent-length:3\n");
    h11("coding-with-length", "POST /\nhost:a\ncontent-length:3\ntransfer-encoding:chunked\n");
    h11("coding-with-length", "POST /\nhost:a\ncontent-length:3\ntransfer-encoding:\n");
    h11("coding-repeated", "POST /\nhost:a\ntransfer-encoding:chunked\ntransfer-encoding:chunked\n");
    static const char *const not_last[] = {
        "",         "identity",        "chunked, gzip", "xchunked", "chunkedx", "\"chunked\"", "chunked;a=b",
        "chunked,", "chunked chunked",
    };
    static const char *const unknown[] = { "gzip, chunked", "chunked, chunked", ", chunked", "identity,chunked" };
    char text[200];
    for (size_t i = 0; i < sizeof(not_last) / sizeof(*not_last); i++) {
        snprintf(text, sizeof(text), "POST /\nhost:a\ntransfer-encoding:%s\n", not_last[i]);
        h11("coding-not-last", text);
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
        snprintf(text, sizeof(text), "POST /\nhost:a\ntransfer-encoding:%s\n", unknown[i]);
        h11("coding-unknown", text);
    }
}

static void test_length(void)
{
    h11(NULL, "POST /\nhost:a\ncontent-length:0\n");
    h11(NULL, "POST /\nhost:a\ncontent-length:000000000000001000\n");
    h11("body-too-large", "POST /\nhost:a\ncontent-length:1001\n");
    h11("body-too-large", "POST /\nhost:a\ncontent-length:999999999999999999\n");
    h11("length-repeated", "POST /\nhost:a\ncontent-length:5\ncontent-length:5\n");
    static const char *const invalid[] = {
        "",
        "+5",
        "-5",
        "-0",
        "0x5",
        "1 0",
        "5, 5",
        "5,5",
        "1e3",
        "5_0",
        "0000000000000000005",
        "18446744073709551621",
        "5\x0b",
        "\xd9\xa1",
    };
    for (size_t i = 0; i < sizeof(invalid) / sizeof(*invalid); i++) {
        char text[200];
        snprintf(text, sizeof(text), "POST /\nhost:a\ncontent-length:%s\n", invalid[i]);
        h11("length-invalid", text);
    }
}

static void framing(const char *text, enum http_version version, int64_t length, bool chunked, bool complete)
{
    struct req r;
    char *copy = strdup(text);
    make(&r, copy, version);
    r.expect_continue = true;
    CHECK(!head_rules_judge(&r, 0));
    CHECK_MSG(r.content_length == length && r.chunked == chunked && r.body_complete == complete &&
                  r.expect_continue == !complete,
              "%s", text);
    free(r.fields);
    free(copy);
}

static void test_framing(void)
{
    framing("GET /\nhost:a\n", HTTP_1_1, -1, false, true);
    framing("GET /\nhost:a\ncontent-length:0\n", HTTP_1_1, 0, false, true);
    framing("GET /\nhost:a\ncontent-length:999999999999999999\n", HTTP_1_1, 999999999999999999, false, false);
    framing("POST /\nhost:a\ntransfer-encoding:chunked\n", HTTP_1_1, -1, true, false);
    framing("POST /\n", HTTP_2, -1, false, false);
    framing("POST /\ncontent-length:7\n", HTTP_2, 7, false, false);
}

static void test_others(void)
{
    h11("expectation", "POST /\nhost:a\nexpect:200-maybe\n");
    h11("expectation", "POST /\nhost:a\nexpect:100-continue\nexpect:x\n");
    h11(NULL, "POST /\nhost:a\nexpect:100-Continue\n");
    judge(HTTP_1_0, NULL, "POST /\nexpect:x\n");
    h11("type-repeated", "POST /\nhost:a\ncontent-type:a/b\ncontent-type:a/b\n");
    h11(NULL, "GET /\nhost:a\nupgrade:h2c\nconnection:upgrade\nte:gzip\nkeep-alive:5\n");
}

static void test_h2(void)
{
    judge(HTTP_2, NULL, "GET /x\nhost:a\nte:trailers\n");
    judge(HTTP_2, "te-invalid", "GET /\nte:gzip\n");
    judge(HTTP_2, "connection-field", "GET /\nconnection:close\n");
    judge(HTTP_2, "connection-field", "GET /\nupgrade:x\n");
    judge(HTTP_2, "connection-field", "GET /\nkeep-alive:5\n");
    judge(HTTP_2, "connection-field", "GET /\nproxy-connection:x\n");
    judge(HTTP_2, "target-byte", "GET /a#b\n");
    judge(HTTP_2, "target-byte", "GET /\xc3\xa9\n");
    judge(HTTP_2, "target-byte", "GET /a b\n");
    judge(HTTP_2, "target-byte", "GET /\x7f\n");
    judge(HTTP_2, "method-invalid", "G@T /\n");
    judge(HTTP_2, "method-invalid", " /\n");
    judge(HTTP_2, "target-form", "GET http://a/\n");
    judge(HTTP_2, "host-invalid", "GET /\nhost:u@a\n");
}

static void test_table(void)
{
    const struct refusal *row = head_rules_named("host-missing");
    CHECK(row && row->status == 400 && row->why);
    CHECK(head_rules_named("body-too-large")->status == 413 && head_rules_named("expectation")->status == 417);
    CHECK(head_rules_named("connect")->status == 501 && head_rules_named("coding-unknown")->status == 501);
    CHECK(!head_rules_named("no such row"));
}

int main(void)
{
    test_host();
    test_target();
    test_coding();
    test_length();
    test_framing();
    test_others();
    test_h2();
    test_table();
    return unit_done();
}
