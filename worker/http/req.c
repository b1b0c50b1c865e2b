/* SPDX-License-Identifier: BSD-3-Clause */
/* req.c: what a request can do without knowing its protocol: begin, end, take its body, forget. */
#include "worker/http/req.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "common/clock.h"
#include "common/heritage.h"
#include "conf/conf.h"
#include "worker/http/held.h"
#include "worker/http/resp.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"

/* http.keepalive = auto. Proxies keep connections for about a minute: nginx 60 s, load balancers of clouds as much. */
#define KEEPALIVE_PROXY_MS 75000
#define KEEPALIVE_MS 5000

/* Memory that an unused request may keep for its next body. */
#define BODY_KEPT (16u << 10)
/* Likewise for its fields; a head may be cookies of a byte each by the thousand. */
#define FIELDS_KEPT 256

struct span req_field(const struct req *r, struct span name)
{
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (span_eq(req_span(r, r->fields[i].name), name))
            return req_span(r, r->fields[i].value);
    }
    return (struct span){ NULL, 0 };
}

static size_t reach(size_t n, struct piece at)
{
    size_t end = (size_t)at.at + at.n;
    return end > n ? end : n;
}

size_t req_head_size(const struct req *r)
{
    size_t n = reach(reach(reach(reach(0, r->method), r->target), r->path), r->query); /* a prefix is in a field */
    for (uint32_t i = 0; i < r->n_fields; i++)
        n = reach(reach(n, r->fields[i].name), r->fields[i].value);
    return n;
}

void req_begin(struct req *r, struct conn *c, const struct endpoint *client, const struct endpoint *server)
{
    r->client = c->peer.sa.sa_family == AF_UNIX ? NULL : client;
    r->server = server;
    r->https = c->transport->secure;
    r->started_ns = clock_ns();
    r->answer_length = -1;
    r->content_length = -1;
    r->conn = c;
    r->listener = c->listener;
    r->handler = site_of(c)->handler;
}

void req_reset(struct req *r)
{
    struct field *fields = r->fields;
    uint32_t cap_fields = r->cap_fields;
    if (cap_fields > FIELDS_KEPT) {
        free(fields);
        fields = NULL;
        cap_fields = 0;
    }
    if (r->head_owned)
        free(r->head);
    if (r->own_client)
        free(r->own_client);
    if (r->body.cap > BODY_KEPT)
        buf_release(&r->body);
    if (r->filtered)
        r->filtered->ops->drop(r->filtered);
    if (r->logged_fields.p)
        buf_release(&r->logged_fields);
    struct buf body = { .p = r->body.p, .cap = r->body.cap };
    memset(r, 0, sizeof(*r));
    r->fields = fields;
    r->cap_fields = cap_fields;
    r->body = body;
}

void req_done(struct req *r)
{
    req_reset(r);
    buf_release(&r->body);
    free(r->fields);
    r->fields = NULL;
}

void endpoint_set(struct endpoint *e, const struct sockaddr *sa, const char *path)
{
    const struct sockaddr_in *in4 = (const void *)sa;
    const struct sockaddr_in6 *in6 = (const void *)sa;
    e->host[0] = 0;
    e->port = -1;
    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &in4->sin_addr, e->host, sizeof(e->host));
        e->port = ntohs(in4->sin_port);
    } else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], e->host, sizeof(e->host));
        e->port = ntohs(in6->sin6_port);
    } else if (sa->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &in6->sin6_addr, e->host, sizeof(e->host));
        e->port = ntohs(in6->sin6_port);
    } else if (path) {
        snprintf(e->host, sizeof(e->host), "%s", path);
    }
}

void endpoints_of(const struct conn *c, struct endpoint *client, struct endpoint *server)
{
    const char *path = ((const struct sockaddr_un *)(const void *)&c->listener->addr)->sun_path;
    endpoint_set(client, &c->peer.sa, NULL);
    endpoint_set(server, &c->local.sa, c->local.sa.sa_family == AF_UNIX ? path : NULL);
}

uint64_t http_keepalive(const struct conn *c)
{
    const struct conf_http *conf = &c->net->conf->http;
    if (conf->keepalive != CONF_KEEPALIVE_AUTO)
        return conf->keepalive;
    return conf_nets_match(&conf->forwarded_allow_ips, &c->peer.sa, c->listener->guarded) ? KEEPALIVE_PROXY_MS
                                                                                          : KEEPALIVE_MS;
}

void req_set_state(struct req *r, enum req_state to)
{
    assert(to > r->state);
    if (r->state == REQ_HELD)
        held_remove(r);
    r->state = to;
}

void req_body_take(struct req *r, size_t n)
{
    buf_take(&r->body, n);
    if (r->state != REQ_ENDED)
        r->ops->took_body(r);
}

void req_end(struct req *r)
{
    if (r->state <= REQ_HELD)
        r->status = 0;
    req_set_state(r, REQ_ENDED);
}

int req_body_move(struct req *r, struct buf *to)
{
    if (buf_len(to)) {
        struct span bytes = req_body(r);
        if (buf_add(to, bytes.p, bytes.n) < 0)
            return -1;
        buf_take(&r->body, bytes.n);
    } else {
        struct buf empty = { .p = to->p, .cap = to->cap };
        *to = r->body;
        r->body = empty;
    }
    return 0;
}

void req_body_moved(struct req *r)
{
    req_body_take(r, 0);
}

void req_body_want(struct req *r)
{
    if (r->state != REQ_ENDED)
        r->ops->want_body(r);
}

uint64_t req_body_patience(const struct req *r)
{
    const struct conf_http *conf = &r->conn->net->conf->http;
    return pace_left(&r->body_pace, &r->conn->net->wheel, conf->body_min_rate, conf->body_timeout);
}

void req_body_came(struct req *r, uint64_t n)
{
    const struct net *net = r->conn->net;
    pace_paid(&r->body_pace, &net->wheel, net->conf->http.body_min_rate, n);
}

void req_body_waits(struct req *r, bool waits)
{
    const struct net *net = r->conn->net;
    (waits ? pace_wait : pace_rest)(&r->body_pace, &net->wheel, net->conf->http.body_min_rate);
}

void req_abandon(struct req *r)
{
    if (r->state != REQ_ENDED)
        r->ops->abandon(r);
}
