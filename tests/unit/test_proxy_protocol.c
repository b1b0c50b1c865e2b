/* SPDX-License-Identifier: BSD-3-Clause */
/* test_proxy_protocol.c: the PROXY protocol against proxy-protocol.txt, sections 2.1 and 2.2, whole and cut everywhere. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "tests/unit/unit.h"
#include "worker/net/proxy_protocol.h"

/* Parses all of it, and sees to it that every shorter piece asks for more (or refuses, if all of it is refused), and
 * that bytes behind the header change nothing. */
static ssize_t parse(const char *p, size_t n, struct proxy_header *ret)
{
    ssize_t whole = proxy_protocol_parse(p, n, ret);
    bool ok = true;
    for (size_t cut = 0; cut < n; cut++) {
        struct proxy_header h;
        char *copy = malloc(cut ? cut : 1);
        memcpy(copy, p, cut);
        ssize_t part = proxy_protocol_parse(copy, cut, &h);
        free(copy);
        ok = ok && (part == 0 || (whole < 0 && part < 0) || (whole > 0 && (size_t)whole <= cut && part == whole));
    }
    CHECK_MSG(ok, "differs when cut: %.50s", p);
    return whole;
}

static void v1(const char *line, int family, const char *src, const char *dst)
{
    struct proxy_header h;
    char text[300], address[INET6_ADDRSTRLEN + 8], text_src[80] = "", text_dst[80] = "";
    size_t n = (size_t)snprintf(text, sizeof(text), "%s", line);
    ssize_t got = parse(text, n, &h);
    CHECK_MSG(got == (ssize_t)n && h.local == (family == AF_UNSPEC), "%s", line);
    if (got <= 0 || family == AF_UNSPEC)
        return;
    const struct sockaddr_storage *both[] = { &h.src, &h.dst };
    char *texts[] = { text_src, text_dst };
    for (int i = 0; i < 2; i++) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)both[i];
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)both[i];
        inet_ntop(family, family == AF_INET ? (const void *)&in->sin_addr : (const void *)&in6->sin6_addr, address,
                  sizeof(address));
        snprintf(texts[i], 80, "%s %u", address, ntohs(in->sin_port));
        CHECK(both[i]->ss_family == family);
    }
    CHECK_MSG(strcmp(text_src, src) == 0 && strcmp(text_dst, dst) == 0, "%s: %s, %s", line, text_src, text_dst);
}

static void refuses(const char *text)
{
    struct proxy_header h;
    CHECK_MSG(parse(text, strlen(text), &h) == -1, "%s", text);
}

static void test_v1(void)
{
    v1("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", AF_INET, "192.168.0.1 56324", "192.168.0.11 443");
    v1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", AF_INET, "255.255.255.255 65535",
       "255.255.255.255 65535");
    v1("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", AF_INET6, "2001:db8::1 0", "::1 1");
    v1("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       AF_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535");
    v1("PROXY UNKNOWN\r\n", AF_UNSPEC, NULL, NULL);
    v1("PROXY UNKNOWN ffff::1 whatever\r\n", AF_UNSPEC, NULL, NULL);
    refuses("GET / HTTP/1.1\r\n\r\n");
    refuses("PROXY TCP4 192.168.0.1 192.16...\r\n");
    refuses("PROXY TCP4 192.168.0.1 192.168.0.11 65iii 100000\r\n");
    refuses("PROXY TCP4 not-an-ip 192.168.0.11 56324 443\r\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n");
    refuses("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n");
    refuses("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n");
    refuses("PROXY TCP4 ::1 ::1 1 2\r\n");
    refuses("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n");
    refuses("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n");
    refuses("PROXY UNKNOWNX\r\n");
    refuses("PROXY\r\n");
    refuses("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n");
    refuses("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX");
    char text[200] = "PROXY UNKNOWN ";
    memset(text + 14, 'x', 120);
    memcpy(text + 105, "\r\n", 3); /* 107 bytes */
    v1(text, AF_UNSPEC, NULL, NULL);
    memcpy(text + 105, "x\r\n", 4);
    refuses(text);
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "PROXY ", 6);
    refuses(text);
}

/* Signature, version and command, family, and a block of `n` bytes: 1, 2, 3, ... */
static ssize_t v2(unsigned command, unsigned family, size_t n, size_t follow, struct proxy_header *h)
{
    static const unsigned char magic[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };
    unsigned char *text = calloc(1, 16 + n + follow);
    memcpy(text, magic, 12);
    text[12] = (unsigned char)command;
    text[13] = (unsigned char)family;
    text[14] = (unsigned char)(n >> 8);
    text[15] = (unsigned char)n;
    for (size_t i = 0; i < n; i++)
        text[16 + i] = (unsigned char)(i + 1);
    ssize_t got = parse((char *)text, 16 + n + follow, h);
    free(text);
    return got;
}

static void test_v2(void)
{
    struct proxy_header h;
    CHECK(v2(0x21, 0x11, 12, 5, &h) == 28 && !h.local);
    const struct sockaddr_in *in = (struct sockaddr_in *)&h.src;
    CHECK(in->sin_family == AF_INET && ntohl(in->sin_addr.s_addr) == 0x01020304 && ntohs(in->sin_port) == 0x090a);
    in = (struct sockaddr_in *)&h.dst;
    CHECK(ntohl(in->sin_addr.s_addr) == 0x05060708 && ntohs(in->sin_port) == 0x0b0c);

    CHECK(v2(0x21, 0x21, 36, 0, &h) == 52 && !h.local);
    const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&h.dst;
    CHECK(in6->sin6_family == AF_INET6 && in6->sin6_addr.s6_addr[0] == 17 && in6->sin6_addr.s6_addr[15] == 32);
    CHECK(ntohs(in6->sin6_port) == 0x2324);

    CHECK(v2(0x21, 0x31, 216, 0, &h) == 232 && !h.local);
    const struct sockaddr_un *un = (struct sockaddr_un *)&h.dst;
    CHECK(un->sun_family == AF_UNIX && (unsigned char)un->sun_path[0] == 109 &&
          (unsigned char)un->sun_path[107] == 216);

    CHECK(v2(0x21, 0x11, 12 + 30, 3, &h) == 58 && !h.local); /* TLVs */
    CHECK(v2(0x20, 0x00, 0, 3, &h) == 16 && h.local); /* LOCAL */
    CHECK(v2(0x20, 0xff, 7, 0, &h) == 23 && h.local); /* its block is skipped unread */
    CHECK(v2(0x21, 0x00, 0, 0, &h) == 16 && h.local); /* UNSPEC */
    CHECK(v2(0x21, 0x12, 12, 0, &h) == 28 && h.local); /* datagrams */
    CHECK(v2(0x21, 0x11, 4080, 0, &h) == 4096);

    CHECK(v2(0x21, 0x11, 4081, 0, &h) == -1);
    CHECK(v2(0x21, 0x11, 11, 0, &h) == -1);
    CHECK(v2(0x21, 0x21, 35, 0, &h) == -1);
    CHECK(v2(0x21, 0x31, 215, 0, &h) == -1);
    CHECK(v2(0x21, 0x41, 12, 0, &h) == -1);
    CHECK(v2(0x21, 0x10, 12, 0, &h) == -1);
    CHECK(v2(0x21, 0x13, 12, 0, &h) == -1);
    CHECK(v2(0x22, 0x11, 12, 0, &h) == -1);
    CHECK(v2(0x11, 0x11, 12, 0, &h) == -1);
    CHECK(proxy_protocol_parse("\r\n\r\nX", 5, &h) == -1);
}

int main(void)
{
    test_v1();
    test_v2();
    return unit_done();
}
