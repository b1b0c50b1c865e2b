/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_head.c: from bytes to a running request: guard, parser, rules, forwarded fields, handler. Every refusal of a head
 * leaves from here. */
#include <stdlib.h>

#include "common/heritage.h"
#include "common/likely.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/forwarded.h"
#include "worker/http/tracing.h"
#include "worker/http1/h1_parse.h"
#include "worker/http1/h1_priv.h"
#include "worker/http/head_rules.h"

static void name_ends(struct h1_conn *h)
{
    endpoints_of(h->conn, &h->client, &h->server);
    h->keepalive = (uint32_t)http_keepalive(h->conn);
    h->named = true;
}

static struct h1_req *begin(struct h1_conn *h)
{
    struct h1_req *hr = h1_req_new(h);
    if (!hr)
        return NULL;
    struct req *r = &hr->req;
    if (unlikely(!h->named))
        name_ends(h);
    req_begin(r, h->conn, &h->client, &h->server);
    r->ops = &h1_resp_ops;
    r->proto = h;
    return hr;
}

/* For the log only: method, target and version of a head that was refused, if they can be recognised. */
static void recognise_line(struct req *r, const char *p, size_t n)
{
    while (n && (*p == '\r' || *p == '\n'))
        p++, n--;
    const char *line_end = memchr(p, '\r', n);
    if (!line_end)
        return;
    size_t line = (size_t)(line_end - p);
    const char *sp1 = memchr(p, ' ', line);
    if (!sp1 || sp1 == p)
        return;
    const char *target = sp1 + 1;
    const char *sp2 = memrchr(target, ' ', (size_t)(line_end - target));
    if (!sp2 || line_end - sp2 < 9 || memcmp(sp2 + 1, "HTTP/1.", 7) != 0)
        return;
    r->head = (char *)(uintptr_t)p;
    r->version = sp2[8] == '0' ? HTTP_1_0 : HTTP_1_1;
    r->method = (struct piece){ 0, (uint32_t)(sp1 - p) };
    r->target = (struct piece){ (uint32_t)(target - p), (uint32_t)(sp2 - target) };
    r->path = r->target;
}

/* why: for the answer too; NULL: nothing but the status. */
static void refuse_line(struct h1_conn *h, struct span in, unsigned status, const char *name, const char *why)
{
    struct h1_req *hr = begin(h);
    if (!hr) {
        conn_abort(h->conn, false);
        return;
    }
    site_refuses(h->conn, h->client.host, name, status, why);
    hr->req.version = HTTP_1_1;
    recognise_line(&hr->req, in.p, in.n);
    if (why)
        h1_fail_because(hr, status, why);
    else
        h1_fail(hr, status, REQ_END_COMPLETE);
}

void h1_refuse(struct h1_conn *h, const char *p, size_t n, unsigned status, const char *name)
{
    refuse_line(h, (struct span){ p, n }, status, name, NULL);
}

void h1_refuse_clear(struct h1_conn *h, const char *p, size_t n)
{
    struct h1_req *hr = begin(h);
    if (!hr) {
        conn_abort(h->conn, false);
        return;
    }
    log_debug("%s: plain HTTP request on a TLS port", h->client.host);
    hr->req.version = HTTP_1_1;
    recognise_line(&hr->req, p, n);
    hr->req.keep_alive = false;
    h->conn->linger = true;
    resp_error_because(&hr->req, 400, "this port speaks HTTPS, and the request came without TLS");
}

/* The one place where HTTP/2 with prior knowledge arrives (RFC 9113 3.3). */
static bool becomes_http2(struct h1_conn *h)
{
    struct conn *c = h->conn;
    const struct proto_ops *http2 = site_of(c)->http2;
    if (!http2 || !c->listener->h2c || !c->net->conf->http.http2 || h->served)
        return false;
    conn_set_proto(c, http2);
    if (http2->open(c) < 0)
        conn_abort(c, false);
    h->state = H1_LEFT;
    return true;
}

static void refuse_guarded(struct h1_conn *h, const char *p, size_t n, enum h1_guard_result result)
{
    switch (result) {
    case H1_GUARD_LINE_TOO_LONG:
        h1_refuse(h, p, n, 414, "request-line-too-long");
        break;
    case H1_GUARD_FIELDS:
        h1_refuse(h, p, n, 431, "fields-too-large");
        break;
    case H1_GUARD_VERSION:
        h1_refuse(h, p, n, 505, "version");
        break;
    case H1_GUARD_TARGET: {
        const struct refusal *rule = head_rules_named("target-byte");
        refuse_line(h, (struct span){ p, n }, rule->status, rule->name, rule->why);
        break;
    }
    case H1_GUARD_H2_PREFACE:
        h1_refuse(h, p, n, 505, "http2-preface");
        break;
    default:
        h1_refuse(h, p, n, 400, "head-malformed");
    }
}

static bool refuse(struct h1_req *hr, unsigned status, const char *name, const char *why)
{
    site_refuses(hr->h->conn, hr->h->client.host, name, status, why);
    h1_fail(hr, status, REQ_END_COMPLETE);
    return false;
}

static bool refuse_by_rule(struct h1_req *hr, const struct refusal *rule)
{
    site_refuses(hr->h->conn, hr->h->client.host, rule->name, rule->status, rule->why);
    h1_fail_because(hr, rule->status, rule->why);
    return false;
}

/* False: it was refused. */
static bool parse(struct h1_req *hr, char *head, size_t n)
{
    switch (h1_parse_head(&hr->req, head, n)) {
    case H1_PARSE_OK:
        return true;
    case H1_PARSE_LENGTH_INVALID:
        return refuse_by_rule(hr, head_rules_named("length-invalid"));
    case H1_PARSE_LENGTH_REPEATED:
        return refuse_by_rule(hr, head_rules_named("length-repeated"));
    case H1_PARSE_CODING_WITH_LENGTH:
        return refuse_by_rule(hr, head_rules_named("coding-with-length"));
    case H1_PARSE_NO_MEMORY:
        return refuse(hr, 503, "no-memory", "out of memory");
    case H1_PARSE_BAD:
        break;
    }
    return refuse(hr, 400, "head-unparsed", "the parser rejects it");
}

/* Not an accepted head: answers and returns false. */
static bool judge(struct h1_req *hr, char *head, size_t n)
{
    struct req *r = &hr->req;
    const struct conf *conf = r->conn->net->conf;
    if (unlikely(!parse(hr, head, n)))
        return false;
    const struct refusal *refusal = head_rules_judge(r, conf->http.limit_request_body);
    if (likely(!refusal))
        refusal = forwarded_apply(r, &conf->http, &r->conn->peer.sa);
    if (unlikely(refusal != NULL))
        return refuse_by_rule(hr, refusal);
    struct tracing *tracing = site_of(r->conn)->tracing;
    if (unlikely(tracing && tracing_apply(tracing, r, req_head_size(r)) < 0))
        return refuse(hr, 503, "no-memory", "out of memory");
    if (unlikely(!conf->http.keepalive || r->conn->net->draining))
        r->keep_alive = false;
    return true;
}

/* The input that holds the head is reused when we return: a request that is still running needs its own copy. */
static void own_head(struct h1_req *hr)
{
    struct req *r = &hr->req;
    if (unlikely(r->head_owned)) { /* by tracing.c */
        h1_weigh(hr);
        return;
    }
    char *copy = malloc(hr->head_len);
    if (!copy) {
        h1_fail(hr, 503, REQ_END_ABORTED);
        return;
    }
    memcpy(copy, r->head, hr->head_len);
    r->head = copy;
    r->head_owned = true;
    h1_weigh(hr);
}

/* Body bytes that came along are taken first, so that the handler finds them. Returns bytes used. */
static size_t start_body(struct h1_conn *h, struct h1_req *hr, const char *p, size_t n)
{
    struct req *r = &hr->req;
    if (r->chunked)
        h1_body_init_chunked(&hr->body, &h1_shared(h)->limits);
    else
        h1_body_init_counted(&hr->body, (uint64_t)r->content_length);
    h->state = H1_BODY;
    return n ? h1_take_body(h, p, n) : 0;
}

/* For the report that is made when this worker hangs. */
static void hold(struct h1_req *hr)
{
    struct req *r = &hr->req;
    struct piece from = r->method, to = r->target;
    hr->held = (int8_t)score_hold(r->conn->net->score, r->head + from.at, to.at + to.n - from.at,
                                  r->client ? r->client->host : "", r->started_ns);
}

/* Whether the head can be kept, should the application not answer at once; asked before it begins. */
static bool has_room(const struct h1_conn *h, const struct h1_req *hr)
{
    struct conn *c = h->conn;
    size_t n = 2 * hr->head_len + hr->req.cap_fields * sizeof(*hr->req.fields);
    if (likely(memory_may(&c->net->memory, &c->share, n)))
        return true;
    memory_refused(&c->net->memory, &c->share, n);
    return false;
}

static void dispatch(struct h1_conn *h, struct h1_req *hr)
{
    struct req *r = &hr->req;
    if (unlikely(!has_room(h, hr))) {
        refuse(hr, 503, "memory", "the worker uses too much memory for its clients (http.limit_memory)");
        return;
    }
    req_set_state(r, REQ_RUNNING);
    hr->dispatched = true;
    score_add32(&h->conn->net->score->inflight, 1);
    hr->held = -1;
    if (h->conn->net->conf->server.timeout)
        hold(hr);
    r->handler->ops->on_request(r->handler, r);
    if (h->cur == hr && r->state < REQ_ENDED)
        own_head(hr);
}

static void wait_for_head(struct h1_conn *h, char *p, size_t n)
{
    struct conn *c = h->conn;
    if (c->peer_eof) {
        h1_refuse(h, p, n, 400, "head-incomplete");
        return;
    }
    if (h->state == H1_HEAD)
        return;
    h->state = H1_HEAD;
    if (h->served) /* a new connection has had its timeout since it was opened */
        conn_set_deadline(c, c->net->conf->http.header_timeout);
}

size_t h1_take_head(struct h1_conn *h, char *p, size_t n)
{
    size_t start, end;
    enum h1_guard_result result = h1_guard_head(p, n, &h1_shared(h)->limits, &h->scan, &start, &end);
    if (unlikely(result == H1_GUARD_MORE)) {
        wait_for_head(h, p, n);
        return 0;
    }
    h->scan = (struct h1_scan){ 0 };
    conn_no_deadline(h->conn);
    if (unlikely(result == H1_GUARD_H2_PREFACE) && becomes_http2(h))
        return 0;
    if (unlikely(result != H1_GUARD_OK)) {
        refuse_guarded(h, p, n, result);
        return n;
    }
    struct h1_req *hr = begin(h);
    if (!hr) {
        conn_abort(h->conn, false);
        return n;
    }
    h->rest = n - end;
    hr->head_len = end - start;
    if (unlikely(!judge(hr, p + start, end - start)))
        return n;
    if (likely(hr->req.body_complete)) {
        h->state = H1_WAIT;
    } else {
        end += start_body(h, hr, p + end, n - end);
        h->rest = n - end;
        if (h->cur != hr)
            return n;
    }
    hr->req.alone = !h->rest;
    dispatch(h, hr);
    return end;
}
