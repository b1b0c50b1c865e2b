/* SPDX-License-Identifier: BSD-3-Clause */
/* test_limits.c: the rate and the connections of clients, as several workers count them in one table. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/limits.h"
#include "tests/unit/unit.h"

#define S UINT64_C(1000000000)

static uint64_t client(const struct limits *l, const char *text)
{
    struct sockaddr_in four = { .sin_family = AF_INET };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return limits_client(l, (struct sockaddr *)&four);
    CHECK(inet_pton(AF_INET6, text, &six.sin6_addr) == 1);
    return limits_client(l, (struct sockaddr *)&six);
}

static void test_who_is_one_client(struct limits *l)
{
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    CHECK(client(l, "192.0.2.1") == client(l, "::ffff:192.0.2.1") && client(l, "192.0.2.1") != client(l, "192.0.2.2"));
    CHECK(client(l, "2001:db8::1") == client(l, "2001:db8::ffff:ffff:ffff:ffff"));
    CHECK(client(l, "2001:db8::1") != client(l, "2001:db8:0:1::1"));
    CHECK(client(l, "0.0.0.0") != client(l, "::1"));
    CHECK(limits_client(l, (struct sockaddr *)&path) == 0);
}

static void test_rate(struct limits *l)
{
    uint64_t a = client(l, "192.0.2.1"), b = client(l, "192.0.2.2"), wait = 0, now = 100 * S;
    for (int i = 0; i < 3; i++)
        CHECK(limits_request(l, a, S / 2, 3, now, &wait));
    CHECK(!limits_request(l, a, S / 2, 3, now, &wait) && wait == S / 2);
    CHECK(limits_request(l, b, S / 2, 3, now, &wait));
    CHECK(!limits_request(l, a, S / 2, 3, now + S / 4, &wait) && wait == S / 4);
    CHECK(limits_request(l, a, S / 2, 3, now + S / 2, &wait));
    CHECK(!limits_request(l, a, S / 2, 3, now + S / 2, &wait) && wait == S / 2);
    for (int i = 0; i < 3; i++) /* quiet for long: no more than the burst has come together */
        CHECK(limits_request(l, a, S / 2, 3, now + 1000 * S, &wait));
    CHECK(!limits_request(l, a, S / 2, 3, now + 1000 * S, &wait));
    CHECK(limits_request(l, 0, S, 1, now, &wait) && limits_request(l, 0, S, 1, now, &wait));
}

static void test_connections(struct limits *l)
{
    uint64_t a = client(l, "198.51.100.1");
    unsigned open;
    int first = limits_open(l, a, 0, &open);
    CHECK(first >= 0 && open == 1);
    CHECK(limits_open(l, a, 2, &open) == first && open == 2);
    CHECK(limits_open(l, a, 2, &open) == first && open == 3);
    limits_close(l, first, 0);
    CHECK(limits_open(l, a, 3, &open) == first && open == 3);
    limits_clear(l, 2); /* that worker was killed */
    CHECK(limits_open(l, a, 0, &open) == first && open == 2);
    limits_close(l, first, 1); /* it has none: nothing gets less than nothing */
    CHECK(limits_open(l, a, 1, &open) == first && open == 3);
    CHECK(limits_open(l, 0, 0, &open) == -1 && open == 0);
}

/* Many more clients than places: those with connections keep theirs, and nobody is refused for others' sake. */
static void test_flood(struct limits *l)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    uint64_t a = client(l, "203.0.113.1"), wait;
    unsigned open;
    int place = limits_open(l, a, 0, &open);
    CHECK(place >= 0 && open == 1);
    for (uint32_t i = 0; i < 200000; i++) {
        sa.sin_addr.s_addr = htonl(i);
        CHECK(limits_request(l, limits_client(l, (struct sockaddr *)&sa), S, 1, S + i, &wait));
    }
    CHECK(limits_open(l, a, 0, &open) == place && open == 2);
}

int main(void)
{
    struct limits *l = limits_new(4);
    CHECK(l != NULL);
    struct limits *other = limits_map(dup(limits_fd(l)), 4);
    CHECK(other != NULL);
    test_who_is_one_client(l);
    test_rate(l);
    test_connections(other);
    test_flood(other);
    limits_free(other);
    limits_free(l);
    return unit_done();
}
