/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_addr.c: parses and prints addresses to listen on and networks to trust. Resolves nothing: names are looked up
 * when the master binds. */
#include "conf/conf_addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/span.h"
#include "conf/conf_settings.h"
#include "common/suggest.h"

#define DEFAULT_PORT 8000
#define N_FLAGS 4
#define FORMS "host:port, [v6]:port, unix:/path, fd://N or systemd"

static const char no_memory[] = "out of memory";

/* Digits only, at most `most`. */
static bool whole_number(const char *text, unsigned most, unsigned *ret)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || text[n] || n > 9)
        return false;
    unsigned long v = strtoul(text, NULL, 10);
    if (v > most)
        return false;
    *ret = (unsigned)v;
    return true;
}

/* Looks like an IPv4 address, so it must be one. */
static bool is_dotted_digits(const char *host)
{
    return *host && host[strspn(host, "0123456789.")] == '\0';
}

static bool is_host(const char *host)
{
    struct in_addr v4;
    if (is_dotted_digits(host))
        return inet_pton(AF_INET, host, &v4) == 1;
    if (!*host || strcmp(host, "*") == 0)
        return true;
    for (const char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-._", *c) && !((unsigned char)*c & 0x80))
            return false;
    return host[0] != '.' && host[0] != '-';
}

/* "::1" or "fe80::1%eth0". */
static bool is_v6(const char *host)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    size_t n = strcspn(host, "%");
    if (n >= sizeof(address) || (host[n] && !host[n + 1]))
        return false;
    memcpy(address, host, n);
    address[n] = '\0';
    return inet_pton(AF_INET6, address, &v6) == 1;
}

bool conf_bind_is_any(const struct conf_bind *bind)
{
    struct in6_addr v6;
    if (bind->kind != CONF_BIND_TCP)
        return false;
    return !bind->host[0] || strcmp(bind->host, "*") == 0 ||
           (inet_pton(AF_INET6, bind->host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6));
}

static const char *parse_tcp(struct conf_pool *pool, const char *text, struct conf_bind *b)
{
    bool v6 = text[0] == '[';
    const char *host = text + v6;
    size_t n = strcspn(host, v6 ? "]" : ":");
    if (v6 && host[n] != ']')
        return conf_text(pool, "%s: the [ has no ]", conf_shown(text).s);
    const char *after = host + n + v6;
    if (!v6 && strchr(*after ? after + 1 : after, ':'))
        return conf_text(pool, "%s: an IPv6 address is written in brackets, [::1]:8000", conf_shown(text).s);
    unsigned port = DEFAULT_PORT;
    if (*after && (*after != ':' || !whole_number(after + 1, UINT16_MAX, &port)))
        return conf_text(pool, "%s: expected a port from 0 to 65535 after the %s", conf_shown(text).s,
                         *after == ':' ? "colon" : "address");
    if (!(b->host = conf_copy(pool, host, n)))
        return no_memory;
    if (v6 ? !is_v6(b->host) : !is_host(b->host))
        return conf_text(pool, "%s: expected " FORMS, conf_shown(text).s);
    b->kind = CONF_BIND_TCP;
    b->port = (uint16_t)port;
    return NULL;
}

static const char *parse_unix(struct conf_pool *pool, const char *path, struct conf_bind *b)
{
    /* Also as a URL: unix:///run/x.sock. */
    if (strncmp(path, "//", 2) == 0)
        path += 2;
    size_t n = strlen(path), most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    if (n == 0 || strcmp(path, "@") == 0)
        return "expected a path after unix:";
    if (n > most)
        return conf_text(pool, "%s: the path of a Unix socket has at most %zu bytes", conf_shown(path).s, most);
    b->kind = CONF_BIND_UNIX;
    b->path = conf_copy(pool, path, n);
    return b->path ? NULL : no_memory;
}

static const char *parse_address(struct conf_pool *pool, const char *text, struct conf_bind *b)
{
    unsigned n;
    if (strcmp(text, "systemd") == 0) {
        b->kind = CONF_BIND_SYSTEMD;
        return NULL;
    }
    if (strncmp(text, "fd://", 5) == 0) {
        if (!whole_number(text + 5, INT_MAX, &n))
            return conf_text(pool, "%s: expected the number of a descriptor, fd://3", conf_shown(text).s);
        b->kind = CONF_BIND_FD;
        b->fd = (int)n;
        return NULL;
    }
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(pool, text + 5, b);
    if (strncmp(text, "tcp://", 6) == 0)
        return parse_tcp(pool, text + 6, b);
    if (whole_number(text, UINT16_MAX, &n))
        return conf_text(pool, "\"%u\" is a port alone: write 127.0.0.1:%u, or :%u for all addresses", n, n, n);
    if (strchr(text, '/'))
        return conf_text(pool, "%s: expected " FORMS "%s", conf_shown(text).s,
                         text[0] == '/' ? " (a Unix socket is written unix:/path)" : "");
    return parse_tcp(pool, text, b);
}

static const char *set_flag(struct conf_pool *pool, struct span word, struct conf_bind *b)
{
    static const char *const names[] = { "tls", "h2c", "proxy", "ipv6only" };
    bool *flags[] = { &b->tls, &b->h2c, &b->proxy, &b->ipv6only };
    for (size_t i = 0; i < N_FLAGS; i++) {
        if (span_eq(word, span_of(names[i]))) {
            *flags[i] = true;
            return NULL;
        }
    }
    const char *text = conf_copy(pool, word.p, word.n);
    if (!text)
        return no_memory;
    const char *near = suggest_nearest(text, names, N_FLAGS);
    return conf_text(pool, "expected the flags tls, h2c, proxy or ipv6only after an address, got %s%s%s%s",
                     conf_shown(text).s, suggest_is_near(text, near) ? "; did you mean \"" : "",
                     suggest_is_near(text, near) ? near : "", suggest_is_near(text, near) ? "\"?" : "");
}

const char *conf_bind_add(struct conf_pool *pool, const char *text, struct conf_binds *binds)
{
    static const char blanks[] = " \t";
    struct conf_bind b = { .fd = -1 };
    size_t n = strcspn(text, blanks);
    if (!(b.text = conf_copy(pool, text, n)))
        return no_memory;
    const char *why = parse_address(pool, b.text, &b);
    for (const char *p = text + n; !why && *(p += strspn(p, blanks)); p += n) {
        n = strcspn(p, blanks);
        why = set_flag(pool, (struct span){ p, n }, &b);
    }
    if (!why && b.ipv6only && !conf_bind_is_any(&b))
        why = conf_text(pool, "%s: ipv6only is for all addresses of a port, such as [::]:8000 or :8000",
                        conf_shown(b.text).s);
    if (why)
        return why;
    struct conf_bind *v = conf_extend(pool, binds->v, binds->n, sizeof(*v));
    if (!v)
        return no_memory;
    v[binds->n] = b;
    binds->v = v;
    binds->n++;
    return NULL;
}

void conf_binds_print(const struct conf_binds *binds, FILE *out)
{
    for (size_t i = 0; i < binds->n; i++) {
        const struct conf_bind *b = &binds->v[i];
        fprintf(out, "%s%s%s%s%s%s", i ? ", " : "", b->text, b->tls ? " tls" : "", b->h2c ? " h2c" : "",
                b->proxy ? " proxy" : "", b->ipv6only ? " ipv6only" : "");
    }
}

static bool is_mapped(const struct conf_net *net)
{
    return net->prefix >= 96 && IN6_IS_ADDR_V4MAPPED(&net->addr);
}

static void map_v4(const struct in_addr *v4, struct in6_addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
    memcpy(ret->s6_addr + 12, v4, 4);
}

static void keep_prefix(struct in6_addr *a, unsigned prefix)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned bits = prefix >= 8 * (i + 1) ? 8 : prefix > 8 * i ? prefix - 8 * i : 0;
        a->s6_addr[i] &= (uint8_t)(0xff00u >> bits);
    }
}

static void print_net(const struct conf_net *net, char *to, size_t room)
{
    char address[INET6_ADDRSTRLEN];
    bool v4 = is_mapped(net);
    unsigned prefix = v4 ? net->prefix - 96 : net->prefix;
    if (v4)
        inet_ntop(AF_INET, net->addr.s6_addr + 12, address, sizeof(address));
    else
        inet_ntop(AF_INET6, &net->addr, address, sizeof(address));
    if (net->prefix == 128)
        snprintf(to, room, "%s", address);
    else
        snprintf(to, room, "%s/%u", address, prefix);
}

static const char *parse_net(struct conf_pool *pool, const char *text, struct conf_net *ret)
{
    struct conf_net net = { .prefix = 0 };
    struct in_addr v4;
    unsigned bits = 128, prefix;
    size_t n = strcspn(text, "/");
    const char *address = conf_copy(pool, text, n);
    if (!address)
        return no_memory;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        map_v4(&v4, &net.addr);
        bits = 32;
    } else if (inet_pton(AF_INET6, address, &net.addr) != 1) {
        return conf_text(pool, "expected an address, a network such as 10.0.0.0/8, *, unix or unix-private, got %s",
                         conf_shown(text).s);
    }
    prefix = bits;
    if (text[n] && !whole_number(text + n + 1, bits, &prefix))
        return conf_text(pool, "%s: expected a prefix length from 0 to %u after the /", conf_shown(text).s, bits);
    net.prefix = prefix + 128 - bits;
    struct conf_net cut = net;
    keep_prefix(&cut.addr, net.prefix);
    if (memcmp(&cut.addr, &net.addr, sizeof(net.addr)) != 0) {
        char meant[INET6_ADDRSTRLEN + 8];
        print_net(&cut, meant, sizeof(meant));
        return conf_text(pool,
                         "%s has bits set after its prefix: write %s for the network, or the "
                         "address alone",
                         conf_shown(text).s, meant);
    }
    *ret = net;
    return NULL;
}

const char *conf_net_add(struct conf_pool *pool, const char *text, struct conf_nets *nets)
{
    struct conf_net net = { 0 };
    if (strcmp(text, "*") == 0) {
        nets->any = true;
        return NULL;
    }
    if (strcasecmp(text, "unix") == 0) {
        nets->unix_ = true;
        return NULL;
    }
    if (strcasecmp(text, "unix-private") == 0) {
        nets->guarded = true;
        return NULL;
    }
    const char *why = parse_net(pool, text, &net);
    if (why)
        return why;
    struct conf_net *v = conf_extend(pool, nets->v, nets->n, sizeof(*v));
    if (!v)
        return no_memory;
    v[nets->n] = net;
    nets->v = v;
    nets->n++;
    return NULL;
}

void conf_nets_print(const struct conf_nets *nets, FILE *out)
{
    const char *comma = "";
    if (nets->any) {
        fputs("*", out);
        comma = ", ";
    }
    if (nets->unix_) {
        fprintf(out, "%sunix", comma);
        comma = ", ";
    }
    if (nets->guarded) {
        fprintf(out, "%sunix-private", comma);
        comma = ", ";
    }
    for (size_t i = 0; i < nets->n; i++) {
        char text[INET6_ADDRSTRLEN + 8];
        print_net(&nets->v[i], text, sizeof(text));
        fprintf(out, "%s%s", comma, text);
        comma = ", ";
    }
}

static bool contains(const struct conf_net *net, const struct in6_addr *address)
{
    /* ::/0 and the like speak of IPv6: they must not let IPv4 peers in by the way these are held. */
    if (IN6_IS_ADDR_V4MAPPED(address) && net->prefix < 96)
        return false;
    struct in6_addr cut = *address;
    keep_prefix(&cut, net->prefix);
    return memcmp(&cut, &net->addr, sizeof(cut)) == 0;
}

bool conf_nets_match(const struct conf_nets *nets, const struct sockaddr *sa, bool guarded)
{
    struct in6_addr address;
    if (sa->sa_family == AF_UNIX)
        return nets->any || nets->unix_ || (nets->guarded && guarded);
    if (sa->sa_family == AF_INET)
        map_v4(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, &address);
    else if (sa->sa_family == AF_INET6)
        address = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    else
        return false;
    if (nets->any)
        return true;
    for (size_t i = 0; i < nets->n; i++)
        if (contains(&nets->v[i], &address))
            return true;
    return false;
}
