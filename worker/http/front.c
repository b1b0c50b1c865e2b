/* SPDX-License-Identifier: BSD-3-Clause */
/* front.c: see front.h. A request that it does not answer goes to the inner handler, which has all later calls. */
#include "worker/http/front.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/heritage.h"
#include "common/likely.h"
#include "common/limits.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/http/site.h"

#define NS_PER_HOUR UINT64_C(3600000000000)
#define NS_PER_S UINT64_C(1000000000)

struct front {
    struct handler handler; /* first */
    struct handler *inner;
    struct limits *limits;
    const struct conf *conf;
    struct span health; /* p = NULL: none */
};

/* --- health --- */

static void send_short(struct req *r, unsigned status, struct span text, struct span name, struct span value)
{
    char length[24];
    int n = snprintf(length, sizeof length, "%zu", text.n);
    const struct resp_field fields[] = {
        { SPAN("content-type"), SPAN("text/plain; charset=utf-8") },
        { SPAN("content-length"), { length, (size_t)n } },
        { name, value },
    };
    struct resp_head head = { .status = status, .fields = fields, .n_fields = 3 };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, text, false);
}

static void answer_health(struct req *r)
{
    bool get = r->is_head || span_eq(req_span(r, r->method), SPAN("GET"));
    if (!get)
        send_short(r, 405, SPAN("405 Method Not Allowed\n"), SPAN("allow"), SPAN("GET, HEAD"));
    else if (r->conn->net->draining || atomic_load_explicit(site_of(r->conn)->leaves, memory_order_relaxed))
        send_short(r, 503, SPAN("stopping\n"), SPAN("cache-control"), SPAN("no-store"));
    else
        send_short(r, 200, SPAN("ok\n"), SPAN("cache-control"), SPAN("no-store"));
}

/* --- limits --- */

union ip {
    struct sockaddr sa;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

/* The client's address as a trusted proxy gives it; what is none ("unknown") leaves the proxy's own. */
static union ip address_of(const struct req *r)
{
    union ip ip = { 0 };
    const char *host = r->client ? r->client->host : "";
    if (inet_pton(AF_INET, host, &ip.in4.sin_addr) == 1)
        ip.sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, host, &ip.in6.sin6_addr) == 1)
        ip.sa.sa_family = AF_INET6;
    else if (r->conn->peer.sa.sa_family == AF_INET)
        ip.in4 = r->conn->peer.in4;
    else if (r->conn->peer.sa.sa_family == AF_INET6)
        ip.in6 = r->conn->peer.in6;
    else
        ip.sa.sa_family = AF_UNIX;
    return ip;
}

/* 0, or after how many seconds another request may come. */
static unsigned wait_for_rate(const struct front *f, const struct req *r)
{
    const struct conf_limit *conf = &f->conf->limit;
    const union ip ip = address_of(r);
    uint64_t wait_ns;
    if (conf_nets_match(&conf->exempt, &ip.sa, r->listener && r->listener->guarded))
        return 0;
    if (limits_request(f->limits, limits_client(f->limits, &ip.sa), NS_PER_HOUR / conf->requests, conf->burst,
                       clock_ns(), &wait_ns))
        return 0;
    return (unsigned)((wait_ns + NS_PER_S - 1) / NS_PER_S);
}

/* True: it was answered. */
static bool limit(const struct front *f, struct req *r)
{
    unsigned seconds = r->conn->over_limit;
    if (!seconds && f->conf->limit.requests)
        seconds = wait_for_rate(f, r);
    if (likely(!seconds))
        return false;
    score_add64(&r->conn->net->score->limited_requests, 1);
    resp_error_retry(r, 429, seconds);
    return true;
}

/* --- the redirect --- */

/* The name that the client used, without its port; n = 0: none. */
static struct span name_of(const struct req *r)
{
    struct span host = req_known(r, FIELD_HOST);
    const char *colon = host.n ? memrchr(host.p, ':', host.n) : NULL;
    if (colon && !memchr(colon, ']', (size_t)(host.p + host.n - colon)))
        host.n = (size_t)(colon - host.p);
    return host;
}

static int put_location(const struct front *f, const struct req *r, struct span name, struct buf *to)
{
    char port[16] = "";
    struct span prefix = req_span(r, r->prefix), path = req_span(r, r->path), query = req_span(r, r->query);
    if (f->conf->http.https_redirect != 443)
        snprintf(port, sizeof port, ":%u", f->conf->http.https_redirect);
    if (!path.n || *path.p != '/') /* OPTIONS * */
        path = SPAN("/");
    int failed = buf_add(to, "https://", 8) | buf_add(to, name.p, name.n) | buf_add(to, port, strlen(port));
    if (prefix.n)
        failed |= buf_add(to, prefix.p, prefix.n);
    failed |= buf_add(to, path.p, path.n);
    if (query.n)
        failed |= buf_add(to, "?", 1) | buf_add(to, query.p, query.n);
    return failed;
}

static void redirect(const struct front *f, struct req *r)
{
    struct span name = name_of(r);
    struct buf to = { NULL };
    bool get = r->is_head || span_eq(req_span(r, r->method), SPAN("GET"));
    if (!name.n)
        resp_error_because(r, 400, "this address needs HTTPS, and the request names no host");
    else if (put_location(f, r, name, &to) != 0)
        resp_error(r, 503);
    else
        send_short(r, get ? 301 : 308, SPAN("this address needs HTTPS\n"), SPAN("location"), buf_span(&to));
    buf_release(&to);
}

/* --- the handler --- */

static void on_request(struct handler *h, struct req *r)
{
    const struct front *f = (const struct front *)h;
    if (unlikely(f->health.p && span_eq(req_span(r, r->path), f->health)))
        answer_health(r);
    else if (f->limits && limit(f, r))
        return;
    else if (unlikely(f->conf->http.https_redirect && !r->https))
        redirect(f, r);
    else {
        r->handler = f->inner;
        f->inner->ops->on_request(f->inner, r);
    }
}

static void on_nothing(struct req *r)
{
}

static void on_end(struct req *r, enum req_end why)
{
}

static void on_conn_close(struct handler *h, struct conn *c)
{
    struct handler *inner = ((struct front *)h)->inner;
    if (inner->ops->on_conn_close)
        inner->ops->on_conn_close(inner, c);
}

static const struct handler_ops front_ops = {
    .name = "front",
    .on_request = on_request,
    .on_body = on_nothing,
    .on_drained = on_nothing,
    .on_peer_eof = on_nothing,
    .on_end = on_end,
    .on_conn_close = on_conn_close,
};

bool front_is_needed(const struct conf *conf)
{
    return conf->http.health_path || conf->http.https_redirect || conf->limit.requests || conf->limit.connections;
}

struct front *front_new(const struct conf *conf, struct limits *limits, struct handler *inner)
{
    struct front *f = malloc(sizeof *f);
    if (!f)
        return NULL;
    bool counts = conf->limit.requests || conf->limit.connections;
    *f = (struct front){ { &front_ops }, inner, counts ? limits : NULL, conf, { NULL, 0 } };
    if (conf->http.health_path)
        f->health = span_of(conf->http.health_path);
    return f;
}

struct handler *front_handler(struct front *front)
{
    return &front->handler;
}

void front_free(struct front *front)
{
    free(front);
}
