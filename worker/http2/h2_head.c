/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_head.c: from the fields that nghttp2 has decoded to a running request: limits, rules (http/head_rules.c), forwarded
 * fields, handler. Every refusal of a head leaves from here. Malformed messages (RFC 9113 8.1.1) never get here: nghttp2
 * resets their streams itself (h2_session.c: on_invalid_header()). */
#include <stdlib.h>

#include "common/log.h"
#include "common/likely.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/forwarded.h"
#include "worker/http/site.h"
#include "worker/http/tracing.h"
#include "worker/http2/h2_priv.h"
#include "worker/http/head_rules.h"

#define FIRST_FIELDS 16

static void fault(struct h2_stream *s, enum h2_fault what)
{
    if (!s->fault)
        s->fault = (uint8_t)what;
}

/* --- collecting --- */

static struct piece keep(struct h2_stream *s, struct span text)
{
    struct piece at = { (uint32_t)buf_len(&s->head), (uint32_t)text.n };
    if (buf_add(&s->head, text.p, text.n) == 0)
        return at;
    fault(s, H2_FAULT_MEMORY);
    return (struct piece){ 0, 0 };
}

static bool room_for_field(struct req *r)
{
    if (likely(r->n_fields < r->cap_fields))
        return true;
    uint32_t cap = r->cap_fields ? 2 * r->cap_fields : FIRST_FIELDS;
    struct field *more = realloc(r->fields, cap * sizeof(*more));
    if (!more)
        return false;
    r->fields = more;
    r->cap_fields = cap;
    return true;
}

static void keep_field(struct h2_stream *s, struct span name, struct span value)
{
    struct req *r = &s->req;
    if (unlikely(!room_for_field(r))) {
        fault(s, H2_FAULT_MEMORY);
        return;
    }
    struct piece name_at = keep(s, name), value_at = keep(s, value);
    r->fields[r->n_fields++] = (struct field){ name_at, value_at };
}

/* nghttp2 lets each through once, and before all other fields. */
static void add_pseudo(struct h2_stream *s, struct span name, struct span value)
{
    struct req *r = &s->req;
    switch (name.n) {
    case 5:
        r->target = keep(s, value); /* :path */
        break;
    case 7:
        if (name.p[1] == 'm')
            r->method = keep(s, value);
        else
            s->scheme = keep(s, value);
        break;
    case 9:
        r->protocol = keep(s, value);
        break;
    case 10:
        s->has_authority = true;
        keep_field(s, SPAN("host"), value);
        break;
    }
}

static bool is_repeated_host(const struct h2_stream *s, struct span name, struct span value)
{
    const struct req *r = &s->req;
    if (!s->has_authority || !r->n_fields || !span_eq(name, SPAN("host")))
        return false;
    struct piece at = r->fields[0].value;
    return span_ieq(value, (struct span){ s->head.p + at.at, at.n });
}

void h2_head_add(struct h2_stream *s, struct span name, struct span value)
{
    const struct conf_http *conf = &s->h->conn->net->conf->http;
    if (unlikely(s->head_size > conf->limit_request_head))
        fault(s, H2_FAULT_FIELDS);
    if (unlikely(s->fault))
        return;
    if (name.p[0] == ':') {
        add_pseudo(s, name, value);
        return;
    }
    if (span_eq(name, SPAN("cookie")))
        s->n_cookies++;
    unsigned crumbs = s->n_cookies > 1 ? s->n_cookies - 1u : 0;
    /* A field counts as it would in HTTP/1, with what stands around it there. */
    if (unlikely(s->req.n_fields - crumbs >= conf->limit_request_fields + s->has_authority ||
                 name.n + value.n + H2_FIELD_AROUND > conf->limit_request_field_size))
        fault(s, H2_FAULT_FIELDS);
    else if (likely(!is_repeated_host(s, name, value)))
        keep_field(s, name, value);
}

/* --- putting together --- */

/* RFC 9113 8.2.3: as one field, in the place of the first. */
static void join_cookies(struct h2_stream *s)
{
    struct req *r = &s->req;
    struct field *first = NULL;
    uint32_t n = 0;
    struct piece all = { (uint32_t)buf_len(&s->head), 0 };
    for (uint32_t i = 0; i < r->n_fields; i++) {
        struct field f = r->fields[i];
        if (f.name.n != 6 || memcmp(s->head.p + f.name.at, "cookie", 6) != 0) {
            r->fields[n++] = f;
            continue;
        }
        char *to = buf_room(&s->head, f.value.n + 2);
        if (!to) {
            fault(s, H2_FAULT_MEMORY);
            return;
        }
        size_t sep = first ? 2 : 0;
        memcpy(to, "; ", sep);
        memcpy(to + sep, s->head.p + f.value.at, f.value.n);
        buf_grew(&s->head, sep + f.value.n);
        all.n += (uint32_t)(sep + f.value.n);
        if (!first)
            first = &r->fields[n], r->fields[n++] = f;
    }
    r->n_fields = n;
    if (first)
        first->value = all;
}

static void know_fields(struct req *r)
{
    for (uint32_t i = 0; i < r->n_fields; i++) {
        int known = head_rules_known(req_span(r, r->fields[i].name));
        if (known >= 0 && !r->known[known])
            r->known[known] = (uint16_t)(i + 1);
    }
    if (r->known[FIELD_EXPECT])
        r->expect_continue = !r->body_complete && span_ieq(req_known(r, FIELD_EXPECT), SPAN("100-continue"));
    if (r->known[FIELD_TE])
        r->te_trailers = span_ieq(req_known(r, FIELD_TE), SPAN("trailers"));
}

static void put_together(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    struct req *r = &s->req;
    req_begin(r, h->conn, &h->client, &h->server);
    if (unlikely(s->n_cookies > 1 && !s->fault))
        join_cookies(s);
    r->head = s->head.p; /* starts at 0: nothing was taken from it */
    r->version = HTTP_2;
    r->keep_alive = true;
    r->ops = &h2_resp_ops;
    r->proto = h;
    r->is_head = span_eq(req_span(r, r->method), SPAN("HEAD"));
    r->path = r->target;
    know_fields(r);
    if (r->protocol.n) /* what follows is no body of a request (RFC 8441 5) */
        r->body_complete = true;
}

/* --- judging --- */

static const struct refusal faults[] = {
    [H2_FAULT_LINE] = { "request-line-too-long", 414, "RFC 9110 15.5.15" },
    [H2_FAULT_FIELDS] = { "fields-too-large", 431, "RFC 6585 5" },
    [H2_FAULT_MEMORY] = { "no-memory", 503, "out of memory" },
    [H2_FAULT_PROTOCOL] = { "protocol-unknown", 501, "RFC 8441 4: of extended CONNECT, only websocket is spoken" },
    [H2_FAULT_ENDED] = { "connect-ended", 400, "RFC 8441 5: END_STREAM ends the connection that it asks for" },
};

static const struct refusal *judge(struct h2_stream *s)
{
    struct req *r = &s->req;
    const struct conf *conf = r->conn->net->conf;
    const struct refusal *why;
    struct span scheme = req_span(r, s->scheme);
    if (!s->fault && r->method.n + r->target.n + sizeof(" HTTP/2") > conf->http.limit_request_line)
        s->fault = H2_FAULT_LINE;
    if (!s->fault && r->protocol.n && !span_eq(req_span(r, r->protocol), SPAN("websocket")))
        s->fault = H2_FAULT_PROTOCOL;
    if (unlikely(s->fault))
        return &faults[s->fault];
    if (scheme.n && !span_ieq(scheme, SPAN("http")) && !span_ieq(scheme, SPAN("https")))
        return head_rules_named("target-scheme");
    uint64_t limit = conf->http.limit_request_body;
    if (limit && r->body_received > limit) /* came with it */
        return head_rules_named("body-too-large");
    why = head_rules_judge(r, limit);
    if (likely(!why))
        why = forwarded_apply(r, &conf->http, &r->conn->peer.sa);
    struct tracing *tracing = site_of(r->conn)->tracing;
    if (unlikely(tracing && !why && tracing_apply(tracing, r, req_head_size(r)) < 0))
        why = &faults[H2_FAULT_MEMORY];
    return why;
}

/* For the report that is made when this worker hangs. */
static void hold(struct h2_stream *s)
{
    struct req *r = &s->req;
    struct span method = req_span(r, r->method), target = req_span(r, r->target);
    char line[SCORE_LINE], *w = line;
    if (method.n > SCORE_LINE / 2)
        return;
    if (target.n > sizeof(line) - method.n - 1)
        target.n = sizeof(line) - method.n - 1;
    memcpy(w, method.p, method.n);
    w += method.n;
    *w++ = ' ';
    memcpy(w, target.p, target.n);
    s->held = (int8_t)score_hold(r->conn->net->score, line, method.n + 1 + target.n, r->client ? r->client->host : "",
                                 r->started_ns);
}

/* --- places --- */

/* A peer that cancels its requests at once could keep any number of them running: where the application still works for
 * one that was cancelled, its place is free only when that has ended. (With a WebSocket it may be for the rest of a
 * turn.) */
static bool has_place(const struct h2_conn *h)
{
    const struct conn *c = h->conn;
    /* Nor are more answers made for a peer that does not read the ones it has. */
    if (unlikely(c->share.held + c->share.lent > c->net->memory.most))
        return false;
    return likely(h->n_taken + h->conn->n_left < h->conn->net->conf->http.http2_max_concurrent_streams);
}

static void wait(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    s->waits = true;
    TAILQ_INSERT_TAIL(&h->waiting, s, wait_link);
    log_debug("%s: stream %d waits: %u cancelled requests are still running", h->client.host, (int)s->id,
              h->conn->n_left);
}

void h2_wait_no_more(struct h2_stream *s)
{
    if (!s->waits)
        return;
    s->waits = false;
    TAILQ_REMOVE(&s->h->waiting, s, wait_link);
}

static void dispatch(struct h2_stream *s)
{
    struct req *r = &s->req;
    struct net *net = s->h->conn->net;
    req_set_state(r, REQ_RUNNING);
    s->dispatched = true;
    s->h->n_taken++;
    score_add32(&net->score->inflight, 1);
    if (net->conf->server.timeout)
        hold(s);
    r->handler->ops->on_request(r->handler, r);
}

void h2_start_waiting(struct h2_conn *h)
{
    struct h2_stream *s;
    while (h->conn->state == CONN_OPEN && (s = TAILQ_FIRST(&h->waiting)) && has_place(h)) {
        uint64_t limit = h->conn->net->conf->http.limit_request_body;
        h2_wait_no_more(s);
        if (s->closed || s->cut)
            continue;
        if (limit && s->req.body_received > limit) /* came meanwhile */
            h2_fail(s, 413, REQ_END_BODY_BAD);
        else
            dispatch(s);
    }
}

/* --- the start --- */

void h2_start(struct h2_stream *s)
{
    struct h2_conn *h = s->h;
    h->served = true;
    h->idle = false; /* even if it is answered within this turn */
    h->n_requests++;
    h2_abuse_request(h);
    put_together(s);
    const struct refusal *why = judge(s);
    if (unlikely(why != NULL)) {
        site_refuses(h->conn, h->client.host, why->name, why->status, why->why);
        if (s->head_size > h->conn->net->conf->http.limit_request_head)
            h2_abuse_fault(h);
        h2_fail_because(s, why->status, s->fault ? NULL : why->why);
        return;
    }
    if (unlikely(!h2_hold_in(s)))
        h2_refuse(s);
    else if (likely(has_place(h)))
        dispatch(s);
    else
        wait(s);
}
