/* SPDX-License-Identifier: BSD-3-Clause */
/* forwarded.c: takes client, scheme, host and prefix from forwarded fields. Any client can write these: a field that
 * the configuration does not name is not looked at, and trust is decided before each step from the address that wrote
 * the value, never from the value itself.
 */
#include "worker/http/forwarded.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/heritage.h"
#include "common/log.h"
#include "conf/conf.h"
#include "worker/http/chars.h"
#include "worker/http/field_list.h"
#include "worker/http/head_rules.h"
#include "worker/http/req.h"
#include "worker/http/site.h"

#define MAX_HOPS 64

/* One hop's statement; spans into the head, p = NULL where it says nothing. */
struct element {
    struct span node, proto, host;
};

/* The way from the peer towards the client. */
struct walk {
    const struct conf_nets *trusted;
    unsigned hops;
    bool ended;
    bool have_client;
    struct endpoint client;
    struct span proto, host;
};

/* --- addresses --- */

/* ":" port, or nothing. An obfuscated port ("_x") counts as not given. */
static bool parse_port(struct span s, int32_t *ret)
{
    *ret = 0;
    if (s.n == 0)
        return true;
    if (s.p[0] != ':' || s.n < 2)
        return false;
    if (s.p[1] == '_')
        return true;
    if (s.n > 6)
        return false;
    int32_t port = 0;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        port = port * 10 + (s.p[i] - '0');
    }
    *ret = port;
    return port <= 65535;
}

/* Numeric address of `family` in s, in canonical text and as a socket address. */
static bool parse_address(int family, struct span s, struct sockaddr_storage *ret_sa, struct endpoint *ret)
{
    char text[INET6_ADDRSTRLEN];
    if (s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    memset(ret_sa, 0, sizeof(*ret_sa));
    ret_sa->ss_family = (sa_family_t)family;
    void *addr = family == AF_INET ? (void *)&((struct sockaddr_in *)ret_sa)->sin_addr
                                   : (void *)&((struct sockaddr_in6 *)ret_sa)->sin6_addr;
    return inet_pton(family, text, addr) == 1 && inet_ntop(family, addr, ret->host, sizeof(ret->host));
}

/* node of RFC 7239 6, and what X-Forwarded-For has: 1.2.3.4, 1.2.3.4:80, [::1], [::1]:80, and ::1 without brackets. */
static bool parse_node(struct span s, struct sockaddr_storage *ret_sa, struct endpoint *ret)
{
    if (s.n && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        if (!end)
            return false;
        struct span rest = { end + 1, (size_t)(s.p + s.n - end - 1) };
        return parse_address(AF_INET6, (struct span){ s.p + 1, (size_t)(end - s.p - 1) }, ret_sa, ret) &&
               parse_port(rest, &ret->port);
    }
    const char *colon = memchr(s.p, ':', s.n);
    size_t n = colon ? (size_t)(colon - s.p) : s.n;
    if (parse_address(AF_INET, (struct span){ s.p, n }, ret_sa, ret))
        return parse_port((struct span){ s.p + n, s.n - n }, &ret->port);
    ret->port = 0;
    return parse_address(AF_INET6, s, ret_sa, ret);
}

/* The next element to the left, written by a hop that is believed. */
static void visit(struct walk *w, const struct element *e)
{
    struct sockaddr_storage sa;
    struct endpoint node = { .port = 0 };
    w->hops++;
    if (e->proto.p)
        w->proto = e->proto;
    if (e->host.p)
        w->host = e->host;
    if (!e->node.p || !parse_node(e->node, &sa, &node)) {
        w->ended = true;
        return;
    }
    w->client = node;
    w->have_client = true;
    w->ended = w->hops == MAX_HOPS || !conf_nets_match(w->trusted, (const struct sockaddr *)&sa, false);
}

/* --- Forwarded --- */

static void skip_blanks(struct span *s)
{
    while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
        s->p++, s->n--;
}

static bool skip_char(struct span *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

static struct span take_token(struct span *s)
{
    struct span token = { s->p, 0 };
    while (token.n < s->n && h1_is_token((unsigned char)s->p[token.n]))
        token.n++;
    s->p += token.n;
    s->n -= token.n;
    return token;
}

/* token or quoted-string. Escapes in a quoted string are refused: the value has to be a span of the head, and no
 * address, scheme or host needs them. An empty string is p != NULL, n = 0. */
static bool take_value(struct span *s, struct span *ret)
{
    if (!skip_char(s, '"')) {
        *ret = take_token(s);
        return ret->n > 0;
    }
    ret->p = s->p;
    ret->n = 0;
    while (ret->n < s->n && s->p[ret->n] != '"') {
        if (s->p[ret->n] == '\\')
            return false;
        ret->n++;
    }
    s->p += ret->n;
    s->n -= ret->n;
    return skip_char(s, '"');
}

/* One "name=value"; each name at most once in an element (RFC 7239 4). */
static bool take_pair(struct span *s, struct element *e)
{
    struct span value, name = take_token(s);
    if (!name.n || !skip_char(s, '=') || !take_value(s, &value))
        return false;
    struct span *slot = span_ieq(name, SPAN("for"))     ? &e->node
                        : span_ieq(name, SPAN("proto")) ? &e->proto
                        : span_ieq(name, SPAN("host"))  ? &e->host
                                                        : NULL;
    if (slot && slot->p)
        return false;
    if (slot)
        *slot = value;
    return true;
}

/* [ pair ] *( ";" [ pair ] ), up to a comma or the end; white space around ";" is common and harmless. */
static bool take_element(struct span *s, struct element *ret)
{
    *ret = (struct element){ { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
    do {
        skip_blanks(s);
        if (s->n && s->p[0] != ';' && s->p[0] != ',' && !take_pair(s, ret))
            return false;
        skip_blanks(s);
    } while (skip_char(s, ';'));
    return s->n == 0 || s->p[0] == ',';
}

static bool is_empty(const struct element *e)
{
    return !e->node.p && !e->proto.p && !e->host.p;
}

/* Visits the elements of one field line from the right. Quoted strings can only be read from the left, so the last
 * MAX_HOPS elements are kept in a ring. */
static void walk_line(struct walk *w, struct span line)
{
    struct element ring[MAX_HOPS];
    size_t n = 0;
    do {
        struct element e;
        if (!take_element(&line, &e)) {
            w->ended = true; /* nothing of this line is believed, nor what stands before it */
            return;
        }
        if (!is_empty(&e))
            ring[n++ % MAX_HOPS] = e;
    } while (skip_char(&line, ','));
    for (size_t i = n; i > 0 && n - i < MAX_HOPS && !w->ended; i--)
        visit(w, &ring[(i - 1) % MAX_HOPS]);
}

static void walk_forwarded(struct req *r, struct walk *w)
{
    for (uint32_t i = r->n_fields; i-- > 0 && !w->ended;) {
        if (head_rules_known(req_span(r, r->fields[i].name)) == FIELD_FORWARDED)
            walk_line(w, req_span(r, r->fields[i].value));
    }
}

/* --- X-Forwarded-* --- */

/* A list that each hop adds to is as long as that of the addresses, and then read at the place where the walk ended; any
 * other was written by the peer: its right-most element counts. */
static struct span beside_for(const struct req *r, enum known_field which, const struct walk *w)
{
    size_t hops = w->hops ? w->hops - 1 : 0;
    bool same = field_list_length(r, which) == field_list_length(r, FIELD_X_FORWARDED_FOR);
    return field_list_at(r, which, same ? hops : 0);
}

static void walk_x_forwarded_for(struct req *r, struct walk *w)
{
    struct field_list list = field_list_of(r, FIELD_X_FORWARDED_FOR);
    struct element e = { .node = { NULL, 0 } };
    while (!w->ended && field_list_previous(&list, &e.node))
        visit(w, &e);
}

/* 0: none. */
static int32_t forwarded_port(const struct req *r)
{
    struct span s = field_list_at(r, FIELD_X_FORWARDED_PORT, 0);
    int32_t port = 0;
    if (s.n == 0 || s.n > 5)
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0;
        port = port * 10 + (s.p[i] - '0');
    }
    return port <= 65535 ? port : 0;
}

/* Segments of characters that mean only themselves in a path (RFC 3986 3.3), none of them empty or a dot segment. */
static bool valid_prefix(struct span s)
{
    while (s.n) {
        if (*s.p != '/')
            return false;
        size_t n = 1;
        while (n < s.n && (h1_is_host((unsigned char)s.p[n]) || s.p[n] == ':' || s.p[n] == '@'))
            n++;
        struct span name = { s.p + 1, n - 1 };
        if (!name.n || span_eq(name, SPAN(".")) || span_eq(name, SPAN("..")))
            return false;
        s.p += n;
        s.n -= n;
    }
    return true;
}

static void set_prefix(struct req *r)
{
    struct span s = field_list_at(r, FIELD_X_FORWARDED_PREFIX, 0);
    if (s.n && s.p[s.n - 1] == '/')
        s.n--;
    if (s.n && valid_prefix(s))
        r->prefix = (struct piece){ (uint32_t)(s.p - r->head), (uint32_t)s.n };
}

/* --- the request --- */

static void set_scheme(struct req *r, struct span proto)
{
    if (span_ieq(proto, SPAN("https")) || span_ieq(proto, SPAN("wss")))
        r->https = true;
    else if (span_ieq(proto, SPAN("http")) || span_ieq(proto, SPAN("ws")))
        r->https = false;
}

/* X-Forwarded-Ssl (on, off) is an older field for the scheme that few proxies write. Where X-Forwarded-Proto counts it is
 * ignored, but if it contradicts the field that counts, one of the programs on the way was misled. */
static bool contradicts(const struct req *r, struct span proto)
{
    struct span ssl = req_field(r, SPAN("x-forwarded-ssl"));
    return proto.p && ssl.p && (r->https ? span_ieq(ssl, SPAN("off")) : span_ieq(ssl, SPAN("on")));
}

/* Some proxies say the scheme in X-Forwarded-Ssl alone. */
static void set_scheme_by_ssl(struct req *r)
{
    struct span ssl = req_field(r, SPAN("x-forwarded-ssl"));
    if (ssl.p && span_ieq(ssl, SPAN("on")))
        r->https = true;
    else if (ssl.p && span_ieq(ssl, SPAN("off")))
        r->https = false;
}

static void set_host(struct req *r, struct span host)
{
    if (host.n && r->known[FIELD_HOST] && head_rules_valid_host(host))
        r->fields[r->known[FIELD_HOST] - 1].value = (struct piece){ (uint32_t)(host.p - r->head), (uint32_t)host.n };
}

/* own_client has room for both sides, so that the request has one thing to free. */
static void set_endpoints(struct req *r, const struct walk *w, int32_t port)
{
    bool set_port = port && r->server && r->server->port >= 0;
    if (!w->have_client && !set_port)
        return;
    struct endpoint *own = calloc(2, sizeof(*own));
    if (!own)
        return;
    if (w->have_client) {
        own[0] = w->client;
        r->client = &own[0];
    } else if (r->client) {
        own[0] = *r->client;
        r->client = &own[0];
    }
    if (set_port) {
        own[1] = *r->server;
        own[1].port = port;
        r->server = &own[1];
    }
    free(r->own_client);
    r->own_client = own;
}

/* Whether there is a field that counts. */
static bool is_forwarded(const struct req *r, const struct conf_http *conf)
{
    const uint16_t *known = r->known;
    if (conf->forwarded_family == CONF_FORWARDED_NONE)
        return false;
    if (conf->forwarded_family == CONF_FORWARDED_RFC7239)
        return known[FIELD_FORWARDED];
    return known[FIELD_X_FORWARDED_FOR] ||
           (known[FIELD_X_FORWARDED_PROTO] && conf->forwarded_family == CONF_FORWARDED_X) ||
           (conf->forwarded_family == CONF_FORWARDED_X_SSL && req_field(r, SPAN("x-forwarded-ssl")).p) ||
           (conf->forwarded_host &&
            (known[FIELD_X_FORWARDED_HOST] || known[FIELD_X_FORWARDED_PORT] || known[FIELD_X_FORWARDED_PREFIX]));
}

static void apply_forwarded(struct req *r, const struct conf_http *conf, struct walk *w)
{
    walk_forwarded(r, w);
    set_scheme(r, w->proto);
    if (conf->forwarded_host)
        set_host(r, w->host);
    set_endpoints(r, w, 0);
}

static const struct refusal *apply_x_forwarded(struct req *r, const struct conf_http *conf, struct walk *w)
{
    int32_t port = 0;
    walk_x_forwarded_for(r, w);
    if (conf->forwarded_family == CONF_FORWARDED_X) {
        struct span proto = beside_for(r, FIELD_X_FORWARDED_PROTO, w);
        set_scheme(r, proto);
        if (contradicts(r, proto))
            return head_rules_named("scheme-contradictory");
    }
    if (conf->forwarded_family == CONF_FORWARDED_X_SSL)
        set_scheme_by_ssl(r);
    if (conf->forwarded_host) {
        struct span host = beside_for(r, FIELD_X_FORWARDED_HOST, w);
        set_prefix(r);
        set_host(r, host);
        port = forwarded_port(r);
    }
    set_endpoints(r, w, port);
    return NULL;
}

/* Once: whoever puts a proxy in front wonders why its fields have no effect. A client that sends some gets nothing by
 * it. */
static void hint(const struct req *r, const struct sockaddr *peer)
{
    struct site *site = r->conn ? site_of(r->conn) : NULL;
    if (!site || site->has_hinted)
        return;
    site->has_hinted = true;
    if (peer->sa_family == AF_UNIX)
        log_warning("forwarded fields from %s have no effect: others than a proxy can connect to it (see its mode, "
                    "group and folder; server.socket_mode, socket_group); http.forwarded_allow_ips = unix trusts them "
                    "all",
                    r->listener ? r->listener->text : "a Unix socket");
    else
        log_info("forwarded fields from %s have no effect: if this is a proxy of yours, name it in "
                 "http.forwarded_allow_ips",
                 r->client ? r->client->host : "a peer");
}

const struct refusal *forwarded_apply(struct req *r, const struct conf_http *conf, const struct sockaddr *peer)
{
    if (!is_forwarded(r, conf))
        return NULL;
    if (!conf_nets_match(&conf->forwarded_allow_ips, peer, r->listener && r->listener->guarded)) {
        hint(r, peer);
        return NULL;
    }
    struct walk w = { .trusted = &conf->forwarded_allow_ips };
    if (conf->forwarded_family != CONF_FORWARDED_RFC7239)
        return apply_x_forwarded(r, conf, &w);
    apply_forwarded(r, conf, &w);
    return NULL;
}
