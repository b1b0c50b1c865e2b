/* SPDX-License-Identifier: BSD-3-Clause */
/* proxy_protocol.c: the PROXY protocol, version 1 (one line of text) and 2 (binary), as proxy-protocol.txt has them.
 *
 * Decides nothing about trust: whoever calls it has a listener or a peer that must speak it. A connection whose first
 * bytes are something else is refused, never served with the addresses it came from.
 */
#include "worker/net/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#define V1_MAX 107  /* section 2.1: the longest line, CRLF included */
#define V2_FIXED 16
#define V2_MAX 4096 /* with TLVs; they may announce 64 KB */

static const char v1_magic[] = "PROXY ";
static const char v2_magic[] = "\r\n\r\n\0\r\nQUIT\n";

/* The next field of a version 1 line, up to one SP or the end; copied into `ret` for inet_pton(). */
static bool next_word(const char **p, const char *end, char *ret, size_t size)
{
    const char *sp = memchr(*p, ' ', (size_t)(end - *p));
    size_t n = (size_t)((sp ? sp : end) - *p);
    if (n == 0 || n >= size)
        return false;
    memcpy(ret, *p, n);
    ret[n] = '\0';
    *p += sp ? n + 1 : n;
    return sp ? *p < end : true; /* nothing but a SP at the end is no empty field: it is wrong */
}

/* Decimal without sign or leading zeros, 0..65535. */
static bool parse_port(const char *s, in_port_t *ret)
{
    size_t n = strlen(s);
    if (n == 0 || n > 5 || (s[0] == '0' && n > 1) || strspn(s, "0123456789") != n)
        return false;
    unsigned port = 0;
    for (; *s; s++)
        port = port * 10 + (unsigned)(*s - '0');
    *ret = htons((uint16_t)port);
    return port <= 65535;
}

static bool set_address(int family, const char *address, const char *port, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        struct sockaddr_in *sin = (struct sockaddr_in *)ret;
        return inet_pton(AF_INET, address, &sin->sin_addr) == 1 && parse_port(port, &sin->sin_port);
    }
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret;
    return inet_pton(AF_INET6, address, &sin6->sin6_addr) == 1 && parse_port(port, &sin6->sin6_port);
}

/* Behind "PROXY ", without the CRLF. */
static bool parse_v1_line(const char *p, const char *end, struct proxy_header *ret)
{
    char family[8], src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN], src_port[6], dst_port[6];
    size_t n = (size_t)(end - p);
    if (n >= 7 && memcmp(p, "UNKNOWN", 7) == 0 && (n == 7 || p[7] == ' ')) {
        ret->local = true; /* whatever follows has to be ignored */
        return true;
    }
    ret->local = false;
    if (!next_word(&p, end, family, sizeof(family)) || !next_word(&p, end, src, sizeof(src)) ||
        !next_word(&p, end, dst, sizeof(dst)) || !next_word(&p, end, src_port, sizeof(src_port)) ||
        !next_word(&p, end, dst_port, sizeof(dst_port)) || p != end)
        return false;
    int af = strcmp(family, "TCP4") == 0 ? AF_INET : strcmp(family, "TCP6") == 0 ? AF_INET6 : AF_UNSPEC;
    return af != AF_UNSPEC && set_address(af, src, src_port, &ret->src) && set_address(af, dst, dst_port, &ret->dst);
}

static ssize_t parse_v1(const char *p, size_t n, struct proxy_header *ret)
{
    size_t have = n < V1_MAX ? n : V1_MAX;
    size_t i = sizeof(v1_magic) - 1;
    while (i < have && p[i] != '\r' && p[i] != '\n' && p[i] != '\0')
        i++;
    if (i + 1 >= have) /* no CR yet, or it is the last byte */
        return have == V1_MAX || (i < have && p[i] != '\r') ? -1 : 0;
    if (p[i] != '\r' || p[i + 1] != '\n')
        return -1;
    struct proxy_header header = { 0 };
    if (!parse_v1_line(p + sizeof(v1_magic) - 1, p + i, &header))
        return -1;
    *ret = header;
    return (ssize_t)i + 2;
}

static void take_inet(const unsigned char *p, struct proxy_header *ret)
{
    struct sockaddr_in *src = (struct sockaddr_in *)&ret->src, *dst = (struct sockaddr_in *)&ret->dst;
    src->sin_family = dst->sin_family = AF_INET;
    memcpy(&src->sin_addr, p, 4);
    memcpy(&dst->sin_addr, p + 4, 4);
    memcpy(&src->sin_port, p + 8, 2);
    memcpy(&dst->sin_port, p + 10, 2);
}

static void take_inet6(const unsigned char *p, struct proxy_header *ret)
{
    struct sockaddr_in6 *src = (struct sockaddr_in6 *)&ret->src, *dst = (struct sockaddr_in6 *)&ret->dst;
    src->sin6_family = dst->sin6_family = AF_INET6;
    memcpy(&src->sin6_addr, p, 16);
    memcpy(&dst->sin6_addr, p + 16, 16);
    memcpy(&src->sin6_port, p + 32, 2);
    memcpy(&dst->sin6_port, p + 34, 2);
}

/* Both paths are NUL-padded to 108 bytes, the size of sun_path; a full one is not terminated, but the storage is
 * longer and zero after it. */
static void take_unix(const unsigned char *p, struct proxy_header *ret)
{
    ret->src.ss_family = ret->dst.ss_family = AF_UNIX;
    memcpy(((struct sockaddr_un *)&ret->src)->sun_path, p, 108);
    memcpy(((struct sockaddr_un *)&ret->dst)->sun_path, p + 108, 108);
}

/* Family and protocol bytes that section 2.2 defines. take = NULL: a valid block whose addresses say nothing about a
 * stream connection, so that the connection's own are kept. */
static const struct {
    unsigned char code;
    unsigned short length;
    void (*take)(const unsigned char *p, struct proxy_header *ret);
} families[] = {
    { 0x00, 0, NULL },  { 0x11, 12, take_inet },  { 0x12, 12, NULL },  { 0x21, 36, take_inet6 },
    { 0x22, 36, NULL }, { 0x31, 216, take_unix }, { 0x32, 216, NULL },
};

static bool take_addresses(unsigned char code, const unsigned char *p, size_t n, struct proxy_header *ret)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        if (families[i].code != code)
            continue;
        if (n < families[i].length)
            return false;
        ret->local = !families[i].take;
        if (families[i].take)
            families[i].take(p, ret);
        return true;
    }
    return false; /* "other values are unspecified and must be rejected" */
}

static ssize_t parse_v2(const char *p, size_t n, struct proxy_header *ret)
{
    const unsigned char *u = (const unsigned char *)p;
    if (n > 12 && u[12] != 0x20 && u[12] != 0x21)
        return -1;
    if (n < V2_FIXED)
        return 0;
    size_t length = (size_t)u[14] << 8 | u[15];
    if (length > V2_MAX - V2_FIXED)
        return -1;
    if (n < V2_FIXED + length)
        return 0;
    struct proxy_header header = { .local = true };
    /* LOCAL: the connection is the proxy's own (a health check); its block is skipped with its family unread. */
    if (u[12] == 0x21 && !take_addresses(u[13], u + V2_FIXED, length, &header))
        return -1;
    *ret = header;
    return (ssize_t)(V2_FIXED + length);
}

/* Whether [p, p+n) begins with the magic, as far as both go. */
static bool begins(const char *p, size_t n, const char *magic, size_t magic_n)
{
    return memcmp(p, magic, n < magic_n ? n : magic_n) == 0;
}

ssize_t proxy_protocol_parse(const char *p, size_t n, struct proxy_header *ret)
{
    if (begins(p, n, v1_magic, sizeof(v1_magic) - 1))
        return n < sizeof(v1_magic) - 1 ? 0 : parse_v1(p, n, ret);
    if (begins(p, n, v2_magic, sizeof(v2_magic) - 1))
        return n < sizeof(v2_magic) - 1 ? 0 : parse_v2(p, n, ret);
    return -1;
}
