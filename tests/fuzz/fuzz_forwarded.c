/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_forwarded.c: forwarded fields with any values: each line of the input becomes one, its first byte says which.
 * The client must stay or become a numeric address, and the host must stay valid; what the configuration does not name
 * must not count. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/head.h"
#include "worker/http/forwarded.h"
#include "worker/http/head_rules.h"

const char *const fuzz_corpora[] = { "http1_tricky.json", "gunicorn_requests.json", NULL };

static const char *const names[] = {
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
};

/* Half of the byte values stand for a piece that means something, so that random bytes make likely values. */
static const char *const pieces[] = {
    "for=", "proto=", "host=", "1.2.3.4", "127.0.0.2", "[::1]", "\"", ",",
    ";",    ", ",     ":80",   "https",   "unknown",   "_x",    "=",  "a.example",
};

/* Appends one field; bytes that the guard would refuse become "?". */
static size_t add_field(char *to, const uint8_t *p, size_t n)
{
    size_t at = (size_t)sprintf(to, "%s:", names[n ? p[0] % 6 : 0]);
    for (size_t i = 0; i < n; i++) {
        if (p[i] & 1)
            at += (size_t)sprintf(to + at, "%s", pieces[p[i] >> 1 & 15]);
        else
            to[at++] = p[i] >= 0x20 ? (char)p[i] : '?';
    }
    memcpy(to + at, "\r\n", 2);
    return at + 2;
}

/* Nothing in it can end the path, leave it, or make the name of a host of it. */
static void check_prefix(struct span s)
{
    MUST(!s.n || (s.p[0] == '/' && s.p[s.n - 1] != '/'));
    for (size_t i = 0; i < s.n; i++)
        MUST(s.p[i] > 0x20 && s.p[i] < 0x7f && !strchr("?#%\\", s.p[i]) &&
             (i == 0 || s.p[i] != '/' || s.p[i - 1] != '/'));
}

static void apply(const char *head, const struct conf_http *conf)
{
    static const struct endpoint peer = { "127.0.0.1", 1 }, server = { "127.0.0.1", 2 };
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(0x7f000001) } };
    struct in6_addr addr;
    struct req r;
    head_make(&r, head);
    r.client = &peer;
    r.server = &server;
    forwarded_apply(&r, conf, (struct sockaddr *)&sa);
    MUST(inet_pton(strchr(r.client->host, ':') ? AF_INET6 : AF_INET, r.client->host, &addr) == 1);
    MUST(r.client->port >= 0 && r.client->port <= 65535 && r.server->port >= 0 && r.server->port <= 65535);
    MUST(head_rules_valid_host(req_known(&r, FIELD_HOST)) && req_known(&r, FIELD_HOST).n);
    MUST(conf->forwarded_host || (r.server == &server || r.server->port == 2));
    MUST(conf->forwarded_host || (is(req_known(&r, FIELD_HOST), "a") && !r.prefix.n));
    MUST(conf->forwarded_family != CONF_FORWARDED_NONE || (r.client == &peer && !r.https && !r.own_client));
    MUST(conf->forwarded_family != CONF_FORWARDED_X_FOR || !r.https);
    check_prefix(req_span(&r, r.prefix));
    head_free(&r);
}

/* Under every configuration. */
static void apply_all(const char *head, struct conf_nets nets)
{
    static const enum conf_forwarded families[] = { CONF_FORWARDED_X, CONF_FORWARDED_X_FOR, CONF_FORWARDED_RFC7239,
                                                    CONF_FORWARDED_NONE };
    for (size_t i = 0; i < 2 * sizeof families / sizeof *families; i++) {
        struct conf_http conf = { .forwarded_allow_ips = nets,
                                  .forwarded_family = families[i / 2],
                                  .forwarded_host = i & 1 };
        apply(head, &conf);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_net net = { { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127 } } }, 104 };
    struct conf_nets some = { .v = &net, .n = 1 }, any = { .any = true };
    if (size > 800)
        return 0;
    char *head = malloc(size * 24 + 100);
    size_t n = (size_t)sprintf(head, "GET / HTTP/1.1\r\nHost: a\r\n");
    unsigned fields = 1;
    for (size_t at = 0; at < size && fields < 90; fields++) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        n += add_field(head + n, data + at, length);
        at += length + 1;
    }
    memcpy(head + n, "\r\n", 3);
    apply_all(head, some);
    apply_all(head, any);
    free(head);
    return 0;
}
