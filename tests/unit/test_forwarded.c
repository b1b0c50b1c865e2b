/* SPDX-License-Identifier: BSD-3-Clause */
/* test_forwarded.c: who is believed about client, scheme and host: RFC 7239 and the X-Forwarded fields. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "conf/conf.h"
#include "tests/unit/head.h"
#include "tests/unit/unit.h"
#include "worker/http/forwarded.h"

static const struct endpoint peer_end = { "10.0.0.1", 1234 }, server_end = { "10.0.0.9", 8000 };

/* Trusted: 10.0.0.0/8 and 2001:db8::/32. */
static struct conf_net trusted_nets[] = {
    { { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10 } } }, 104 },
    { { { { 0x20, 0x01, 0x0d, 0xb8 } } }, 32 },
};
static const struct conf_nets trusted = { .v = trusted_nets, .n = 2 };

/* What the tests that follow believe. */
static enum conf_forwarded family = CONF_FORWARDED_X;
static bool host_too = true;

static struct conf_http believing(const struct conf_nets *nets)
{
    return (struct conf_http){ .forwarded_allow_ips = *nets, .forwarded_family = family, .forwarded_host = host_too };
}

static void apply(struct req *r, const char *fields, const struct conf_nets *nets, const char *peer)
{
    char text[8000];
    struct sockaddr_in sa = { .sin_family = AF_INET };
    inet_pton(AF_INET, peer, &sa.sin_addr);
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: old\r\n%s\r\n", fields);
    head_make(r, text);
    r->client = &peer_end;
    r->server = &server_end;
    struct conf_http conf = believing(nets);
    forwarded_apply(r, &conf, (struct sockaddr *)&sa);
}

/* client: "host port"; NULL = unchanged. */
static void expect(const char *fields, const char *client, bool https, const char *host)
{
    struct req r;
    char got[160];
    apply(&r, fields, &trusted, "10.0.0.1");
    snprintf(got, sizeof(got), "%s %d", r.client->host, r.client->port);
    CHECK_MSG(client ? strcmp(got, client) == 0 : r.client == &peer_end, "client %s: %s", got, fields);
    CHECK_MSG(r.https == https, "scheme: %s", fields);
    CHECK_MSG(is(req_known(&r, FIELD_HOST), host ? host : "old"), "host: %s", fields);
    head_free(&r);
}

static void test_untrusted(void)
{
    struct req r;
    apply(&r, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4;host=h\r\n", &trusted,
          "11.0.0.1");
    CHECK(r.client == &peer_end && !r.https && is(req_known(&r, FIELD_HOST), "old") && !r.own_client);
    head_free(&r);

    struct conf_nets any = { .any = true };
    apply(&r, "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n", &any, "11.0.0.1");
    CHECK(strcmp(r.client->host, "1.2.3.4") == 0);
    head_free(&r);
}

static void test_unix(void)
{
    struct req r;
    struct conf_nets nets = { .unix_ = true };
    struct sockaddr sa = { .sa_family = AF_UNIX };
    head_make(&r, "GET / HTTP/1.1\r\nHost: old\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
    struct conf_http conf = believing(&nets);
    forwarded_apply(&r, &conf, &sa);
    CHECK(r.client && strcmp(r.client->host, "1.2.3.4") == 0);
    head_free(&r);
}

static void test_x_for(void)
{
    expect("", NULL, false, NULL);
    expect("X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4 0", false, NULL);
    expect("X-Forwarded-For: 1.2.3.4:567\r\n", "1.2.3.4 567", false, NULL);
    expect("X-Forwarded-For: fe80::1\r\n", "fe80::1 0", false, NULL);
    expect("X-Forwarded-For: [fe80::0:1]\r\n", "fe80::1 0", false, NULL);
    expect("X-Forwarded-For: [fe80::1]:567\r\n", "fe80::1 567", false, NULL);
    /* the client writes what it likes to the left */
    expect("X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n", "1.2.3.4 0", false, NULL);
    expect("X-Forwarded-For: 10.0.0.7, 1.2.3.4\r\n", "1.2.3.4 0", false, NULL);
    /* trusted hops are passed */
    expect("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.2\r\n", "1.2.3.4 0", false, NULL);
    expect("X-Forwarded-For: 6.6.6.6,1.2.3.4\r\nX-Other: x\r\nX-Forwarded-For: 2001:db8::2 ,10.0.0.2\r\n", "1.2.3.4 0",
           false, NULL);
    expect("X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3 0", false, NULL);
    /* what is no address ends the walk */
    expect("X-Forwarded-For: 1.2.3.4, unknown\r\n", NULL, false, NULL);
    expect("X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.2\r\n", "10.0.0.2 0", false, NULL);
    static const char *const junk[] = {
        "",
        "x",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:65536",
        "1.2.3.4:123456",
        "[fe80::1",
        "[fe80::1]x",
        "fe80::1%eth0",
        "[1.2.3.4]",
        "\"1.2.3.4\"",
        "01.2.3.4",
        "[",
        "]",
        ":80",
    };
    for (size_t i = 0; i < sizeof(junk) / sizeof(*junk); i++) {
        char text[100];
        snprintf(text, sizeof(text), "X-Forwarded-For: %s\r\n", junk[i]);
        expect(text, NULL, false, NULL);
    }
    expect("X-Forwarded-For: 1.2.3.4,\r\n", NULL, false, NULL);
}

static void test_x_proto_host(void)
{
    expect("X-Forwarded-Proto: https\r\n", NULL, true, NULL);
    expect("X-Forwarded-Proto: WSS\r\n", NULL, true, NULL);
    expect("X-Forwarded-Proto: http\r\n", NULL, false, NULL);
    expect("X-Forwarded-Proto: ftp\r\n", NULL, false, NULL);
    expect("X-Forwarded-Proto: https, http\r\n", NULL, false, NULL);
    expect("X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n", NULL, true, NULL);
    /* lists of one length are read at one place */
    expect("X-Forwarded-For: 1.2.3.4, 10.0.0.2\r\nX-Forwarded-Proto: https, http\r\n", "1.2.3.4 0", true, NULL);
    expect("X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-Proto: https, http\r\n", "1.2.3.4 0", false, NULL);
    expect("X-Forwarded-For: 1.2.3.4, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n", "1.2.3.4 0", true, NULL);
    expect("X-Forwarded-Host: new.example:8443\r\n", NULL, false, "new.example:8443");
    expect("X-Forwarded-Host: evil, new\r\n", NULL, false, "new");
    expect("X-Forwarded-Host: a b\r\n", NULL, false, NULL);
    expect("X-Forwarded-Host: u@a\r\n", NULL, false, NULL);
    expect("X-Forwarded-Host:\r\n", NULL, false, NULL);
}

static void test_x_port(void)
{
    struct req r;
    apply(&r, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Port: 1, 443\r\n", &trusted, "10.0.0.1");
    CHECK(r.server != &server_end && r.server->port == 443 && strcmp(r.server->host, "10.0.0.9") == 0);
    CHECK(strcmp(r.client->host, "1.2.3.4") == 0);
    head_free(&r);
    apply(&r, "X-Forwarded-Port: 443\r\n", &trusted, "10.0.0.1");
    CHECK(r.server->port == 443 && strcmp(r.client->host, "10.0.0.1") == 0 && r.client->port == 1234);
    head_free(&r);
    apply(&r, "X-Forwarded-Port: 65536\r\n", &trusted, "10.0.0.1");
    CHECK(r.server == &server_end);
    head_free(&r);
}

static void prefix_is(const char *value, const char *want)
{
    struct req r;
    char text[400];
    snprintf(text, sizeof(text), "X-Forwarded-Prefix: %s\r\n", value);
    apply(&r, text, &trusted, "10.0.0.1");
    CHECK_MSG(span_eq(req_span(&r, r.prefix), span_of(want)), "%s", value);
    head_free(&r);
}

static void test_x_prefix(void)
{
    prefix_is("/a", "/a");
    prefix_is("/a/b.c/", "/a/b.c");
    prefix_is("/b, /a", "/a");
    prefix_is("/..a/...", "/..a/...");
    static const char *const bad[] = { "",       "/",    "a",     "//",    "//a",       "/a//b", "/a//",
                                       "/.",     "/..",  "/a/.",  "/./a",  "/a/..",     "/a?b",  "/a#b",
                                       "/a%2fb", "/a b", "/a\\b", "/\xe9", "http://a/b" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        prefix_is(bad[i], "");
}

/* Every field at once: what counts is what the family names, and hosts only where they are asked for. */
static void believes(enum conf_forwarded which, bool hosts, const char *client, bool https, const char *host)
{
    family = which;
    host_too = hosts;
    expect("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: x\r\nX-Forwarded-Ssl: on\r\n"
           "Forwarded: for=2.2.2.2;proto=https;host=f\r\n",
           client, https, host);
    expect("Forwarded: for=2.2.2.2;proto=https;host=f\r\nX-Forwarded-Host: x\r\nX-Forwarded-Proto: https\r\n"
           "X-Forwarded-For: 1.1.1.1\r\n",
           client, https, host);
    struct req r;
    apply(&r, "X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /p\r\n", &trusted, "10.0.0.1");
    bool counts = hosts && (which == CONF_FORWARDED_X || which == CONF_FORWARDED_X_FOR);
    CHECK((r.server->port == 1) == counts && (r.prefix.n > 0) == counts && (r.own_client != NULL) == counts);
    head_free(&r);
    family = CONF_FORWARDED_X;
    host_too = true;
}

static void test_families(void)
{
    believes(CONF_FORWARDED_X, false, "1.1.1.1 0", true, NULL);
    believes(CONF_FORWARDED_X, true, "1.1.1.1 0", true, "x");
    believes(CONF_FORWARDED_X_FOR, false, "1.1.1.1 0", false, NULL);
    believes(CONF_FORWARDED_X_FOR, true, "1.1.1.1 0", false, "x");
    believes(CONF_FORWARDED_RFC7239, false, "2.2.2.2 0", true, NULL);
    believes(CONF_FORWARDED_RFC7239, true, "2.2.2.2 0", true, "f");
    believes(CONF_FORWARDED_NONE, false, NULL, false, NULL);
    believes(CONF_FORWARDED_NONE, true, NULL, false, NULL);
}

static void test_forwarded(void)
{
    family = CONF_FORWARDED_RFC7239;
    expect("Forwarded: for=1.2.3.4;proto=https;host=new\r\n", "1.2.3.4 0", true, "new");
    expect("Forwarded: For=\"1.2.3.4:567\" ; PROTO=HTTPS\r\n", "1.2.3.4 567", true, NULL);
    expect("Forwarded: for=\"[fe80::1]\"\r\n", "fe80::1 0", false, NULL);
    expect("Forwarded: by=10.0.0.1;for=\"[fe80::1]:4711\"\r\n", "fe80::1 4711", false, NULL);
    expect("Forwarded: for=\"1.2.3.4:_port\"\r\n", "1.2.3.4 0", false, NULL);
    expect("Forwarded: for=6.6.6.6, for=1.2.3.4\r\n", "1.2.3.4 0", false, NULL);
    expect("Forwarded: for=6.6.6.6;proto=https, for=1.2.3.4;proto=http\r\n", "1.2.3.4 0", false, NULL);
    expect("Forwarded: for=1.2.3.4;proto=https;host=a\r\nForwarded: for=10.0.0.2;proto=http;host=b\r\n", "1.2.3.4 0",
           true, "a");
    expect("Forwarded: for=1.2.3.4\r\nForwarded: for=10.0.0.2;proto=https;host=b\r\n", "1.2.3.4 0", true, "b");
    expect("Forwarded: for=1.2.3.4, for=_hidden;proto=https, for=10.0.0.2\r\n", "10.0.0.2 0", true, NULL);
    expect("Forwarded: for=unknown;proto=https\r\n", NULL, true, NULL);
    expect("Forwarded: proto=https\r\n", NULL, true, NULL);
    expect("Forwarded: host=\"new:80\"\r\n", NULL, false, "new:80");
    expect("Forwarded: ,, for=1.2.3.4;; ,\r\n", "1.2.3.4 0", false, NULL);
    expect("Forwarded: ext=\"a,b;for=6.6.6.6\";for=1.2.3.4\r\n", "1.2.3.4 0", false, NULL);
}

static void test_malformed(void)
{
    static const char *const bad[] = {
        "for",
        "for=",
        "=1.2.3.4",
        "for=1.2.3.4 x",
        "for=[fe80::1]",
        "for=\"1.2.3.4",
        "for=1.2.3.4;for=5.6.7.8",
        "for = 1.2.3.4",
        "for=\"1.2.\\3.4\"",
        "proto=https;for=\"",
        "for=1.2.3.4;proto=https;x",
        "@=1, proto=https",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[200];
        snprintf(text, sizeof(text), "Forwarded: %s\r\n", bad[i]);
        expect(text, NULL, false, NULL);
        /* to the left of what the proxy wrote, it harms nobody; X-Forwarded-For does not stand in */
        snprintf(text, sizeof(text), "X-Forwarded-For: 6.6.6.6\r\nForwarded: %s\r\nForwarded: for=10.0.0.2\r\n",
                 bad[i]);
        expect(text, "10.0.0.2 0", false, NULL);
    }
}

/* 64 hops at most, however they are cut into lines. */
static void test_hops(void)
{
    char text[6000] = "Forwarded: for=1.1.1.1";
    for (int i = 0; i < 63; i++)
        strcat(text, ", for=10.0.0.3");
    strcat(text, "\r\n");
    expect(text, "1.1.1.1 0", false, NULL);
    text[strlen(text) - 2] = '\0';
    strcat(text, ",for=10.0.0.4\r\n");
    expect(text, "10.0.0.3 0", false, NULL);
    family = CONF_FORWARDED_X;
    strcpy(text, "X-Forwarded-For: 1.1.1.1\r\n");
    for (int i = 0; i < 64; i++)
        strcat(text, "X-Forwarded-For: 10.0.0.3\r\n");
    expect(text, "10.0.0.3 0", false, NULL);
}

int main(void)
{
    test_untrusted();
    test_unix();
    test_x_for();
    test_x_proto_host();
    test_x_port();
    test_x_prefix();
    test_families();
    test_forwarded();
    test_malformed();
    test_hops();
    return unit_done();
}
