/* SPDX-License-Identifier: BSD-3-Clause */
/* account.c: counts a request that has ended, logs it, and warns if it was slow. On the path of every request: what is
 * rare is called out of line. */
#include "worker/log/account.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/likely.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/site.h"
#include "worker/http/tracing.h"
#include "worker/log/access_log.h"
#include "worker/http/req.h"
#include "worker/net/conn.h"

#define ROUTE_PARTS 3
#define ROUTE_PART 32 /* bytes; a longer one is a key */
#define SHOWN 400 /* bytes of a target */

static enum score_method method_of(struct span s)
{
    if (likely(s.n == 3))
        return span_eq(s, SPAN("GET")) ? SCORE_GET : span_eq(s, SPAN("PUT")) ? SCORE_PUT : SCORE_METHOD_OTHER;
    if (s.n == 4)
        return span_eq(s, SPAN("POST")) ? SCORE_POST : span_eq(s, SPAN("HEAD")) ? SCORE_HEAD : SCORE_METHOD_OTHER;
    if (span_eq(s, SPAN("DELETE")))
        return SCORE_DELETE;
    if (span_eq(s, SPAN("PATCH")))
        return SCORE_PATCH;
    return span_eq(s, SPAN("OPTIONS")) ? SCORE_OPTIONS : SCORE_METHOD_OTHER;
}

/* --- routes --- */

/* A number, a UUID, a hash: nothing but hexadecimal digits and dashes, with a digit among them; or very long. */
static bool is_key(struct span part)
{
    bool digit = false;
    if (part.n > ROUTE_PART)
        return true;
    for (size_t i = 0; i < part.n; i++) {
        unsigned char c = (unsigned char)part.p[i], lower = c | 0x20;
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && c != '-' && (lower < 'a' || lower > 'f'))
            return false;
        digit |= is_digit;
    }
    return digit;
}

size_t account_route(char *to, size_t size, struct span method, struct span path)
{
    enum score_method known = method_of(method);
    size_t n = (size_t)snprintf(to, size, "%s ", score_method_name(known));
    const char *p = path.p, *end = p + path.n;
    for (unsigned parts = 0; p < end && *p == '/'; parts++) {
        const char *next = memchr(p + 1, '/', (size_t)(end - p - 1));
        struct span part = { p + 1, (size_t)((next ? next : end) - p - 1) };
        if (parts == ROUTE_PARTS)
            part = SPAN("*"), next = NULL;
        else if (is_key(part))
            part = SPAN(":id");
        n += (size_t)snprintf(to + n, size - n, "/%.*s", (int)part.n, part.p);
        if (n >= size)
            return size - 1;
        p = next ? next : end;
    }
    return n;
}

/* --- slow requests --- */

/* In the queue: until its handler began with it. */
static double queue_seconds(const struct req *r, uint64_t now)
{
    uint64_t begun = r->turn.state == REQ_TURN_WAITS ? now : r->begun_ns;
    return begun > r->started_ns ? (double)(begun - r->started_ns) / 1e9 : 0;
}

static __attribute__((noinline, cold)) void report_slow(const struct req *r, uint64_t took_ns)
{
    char route[SCORE_ROUTE];
    char target[SHOWN], words[TRACING_WORDS];
    struct span method = req_span(r, r->method);
    size_t shown = site_show_target(r, target, sizeof(target));
    struct score *score = r->conn->net->score;
    uint64_t now = r->started_ns + took_ns;
    double all = (double)took_ns / 1e9, queue = queue_seconds(r, now);
    double sending = r->answered_ns ? (double)(now - r->answered_ns) / 1e9 : 0;
    size_t n = account_route(route, sizeof(route), method, req_span(r, r->path));
    score_add64(&score->slow_requests, 1);
    score_add64(&score_route(score, route, n)->slow, 1);
    log_warning("slow request: %.3f s (in the queue %.3f, in the application %.3f, sending %.3f), status %u, from %s: "
                "\"%.*s %.*s\"%s",
                all, queue, all - queue - sending, sending, r->status, r->client ? r->client->host : "a local client",
                (int)method.n, method.p, (int)shown, target, tracing_words(words, req_span(r, r->id)));
}

void account_request(struct req *r)
{
    struct site *site = site_of(r->conn);
    uint64_t took_ns = clock_ns() - r->started_ns;
    struct score *score = r->conn->net->score;
    score_request_over(score, r->status, method_of(req_span(r, r->method)), took_ns);
    if (r->begun_ns > r->started_ns)
        histogram_add(&score->queue, r->begun_ns - r->started_ns);
    if (unlikely(r->conn->net->conf->n_mounts && r->mount != REQ_NO_MOUNT))
        score_mount_over(&score->mount[r->mount < SCORE_MOUNTS ? r->mount : SCORE_MOUNTS - 1], r->status, took_ns);
    if (unlikely(r->trace.n))
        exemplar_note(score->exemplar, req_span(r, r->trace).p, took_ns);
    if (site->access_log && r->method.n && unlikely(!access_log_add(site->access_log, r, took_ns)))
        score_add64(&r->conn->net->score->log_dropped, 1);
    if (unlikely(took_ns > site->slow_ns && r->method.n && r->status != 101))
        report_slow(r, took_ns);
}
