/* SPDX-License-Identifier: BSD-3-Clause */
/* site.h: what the requests of one worker have in common: who answers them, what stands between an answer and its
 * protocol, what is noted of them, and what each protocol keeps once for all of its connections. net carries it as a
 * pointer and never looks inside. */
#ifndef TINE_HTTP_SITE_H
#define TINE_HTTP_SITE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/net/conn.h"

struct access_log;
struct added_fields;
struct conf;
struct conf_list;
struct handler;
struct held;
struct proto_ops;
struct req;
struct resp_filter;
struct tracing;

/* Made by a protocol with its first connection. */
struct site_share {
    void *p; /* NULL: not yet */
    void (*free)(void *p);
};

/* Kinds of refusals that are told apart. */
#define SITE_REFUSALS 64

struct site {
    struct handler *handler;       /* who answers requests */
    struct resp_filter
        *filter;    /* of answers that applications make; NULL: none. The owner frees it after site_done(). */
    struct access_log *access_log; /* opaque here; NULL: none */
    bool keeps_fields;             /* the access log wants fields of answers: req->logged_fields */
    const struct conf_list *hidden; /* log.redact */
    uint64_t slow_ns;              /* log.slow_request; UINT64_MAX: off */
    const struct proto_ops *http2; /* takes over where HTTP/2 begins without TLS; NULL: built without */
    struct held *held;             /* heads that wait for the first piece of their body */
    struct site_share h1, h2, ws;
    const char *refused[SITE_REFUSALS]; /* kinds that have been logged at level info; NULL after the last one */
    /* Not 0: the service was asked to stop, and goes on serving for server.drain_delay. */
    const _Atomic(uint32_t) *leaves;
    struct added_fields *added; /* to every answer; NULL: none */
    struct tracing *tracing; /* http.request_id, traceparent; NULL: neither */
    bool has_hinted; /* forwarded.c: that fields of a proxy were ignored has been logged */
};

/* There is no handler yet; of `conf` [http] and of [log] slow_request and redact are read, and the last stays. 0, or -1: out of
 * memory. */
int site_init(struct site *site, const struct conf *conf, struct event_base *base) __attribute__((warn_unused_result));
/* After net_done(): frees what the protocols share. */
void site_done(struct site *site);

/* Counts a request that is refused for its head or its framing, and logs why: at level info the first of each kind
 * (`name`, a literal), since the application and perhaps the access log do not see it, and others at level debug. */
void site_refuses(const struct conn *c, const char *client, const char *name, unsigned status, const char *why);

/* The target of a request as the log may show it; cut at size, not terminated. The bytes written. */
size_t site_show_target(const struct req *r, char *to, size_t size);

static inline struct site *site_of(const struct conn *c)
{
    return c->net->site;
}

#endif
