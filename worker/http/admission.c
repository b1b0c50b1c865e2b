/* SPDX-License-Identifier: BSD-3-Clause */
/* admission.c: two queues in order of time, one of requests that wait and one of those that run, under one timer: each
 * queue has one timeout for all, so its first request is always the next one due. The gate, which is the request's
 * handler from beginning to end, knows which application it is for. */
#include "worker/http/admission.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/http/site.h"
#include "worker/http/tracing.h"

TAILQ_HEAD(req_queue, req);

struct gate {
    struct handler handler; /* first */
    struct handler *inner;
    struct admission *admission;
    struct gate *next;
};

struct admission {
    struct gate *gates;
    const struct conf_http *conf;
    struct score *score;
    struct event timer;
    struct req_queue waiting, running;
    unsigned n_waiting, n_running;
    bool starting; /* start_waiting() is at work */
};

static struct gate *gate_of(const struct req *r)
{
    return (struct gate *)r->handler;
}

static struct handler *inner_of(const struct req *r)
{
    return gate_of(r)->inner;
}

/* --- the timer --- */

static uint64_t due(const struct req_queue *queue, uint64_t timeout)
{
    const struct req *first = TAILQ_FIRST(queue);
    return first && timeout ? first->turn.since_ms + timeout : UINT64_MAX;
}

static void arm(struct admission *a)
{
    uint64_t wait = due(&a->waiting, a->conf->queue_timeout);
    uint64_t run = due(&a->running, a->conf->request_timeout);
    uint64_t at = wait < run ? wait : run, now = clock_ms();
    if (at == UINT64_MAX) {
        evtimer_del(&a->timer);
        return;
    }
    struct timeval tv = timeval_of_ms(at > now ? at - now : 0);
    timer_add(&a->timer, &tv);
}

/* The timer runs for the first request of a queue; the others need not touch it. */
static void arm_if_first(struct admission *a, const struct req_queue *queue, const struct req *r)
{
    if (TAILQ_FIRST(queue) == r)
        arm(a);
}

/* --- queues --- */

static void enqueue(struct admission *a, struct req *r, enum req_turn_state state)
{
    bool waits = state == REQ_TURN_WAITS;
    r->turn.state = state;
    r->turn.since_ms = clock_ms();
    TAILQ_INSERT_TAIL(waits ? &a->waiting : &a->running, r, turn.link);
    *(waits ? &a->n_waiting : &a->n_running) += 1;
    if (waits)
        score_add32(&a->score->waiting, 1);
    if (waits ? a->conf->queue_timeout : a->conf->request_timeout)
        arm_if_first(a, waits ? &a->waiting : &a->running, r);
}

static void dequeue(struct admission *a, struct req *r)
{
    bool waits = r->turn.state == REQ_TURN_WAITS;
    if (!waits && r->turn.state != REQ_TURN_RUNS)
        return;
    TAILQ_REMOVE(waits ? &a->waiting : &a->running, r, turn.link);
    *(waits ? &a->n_waiting : &a->n_running) -= 1;
    if (waits)
        score_add32(&a->score->waiting, -1);
    r->turn.state = REQ_TURN_NONE;
}

static void run(struct admission *a, struct req *r)
{
    struct handler *inner = inner_of(r);
    score_add64(&a->score->admitted, 1);
    if (r->turn.since_ms) /* it waited */
        r->begun_ns = clock_ns();
    enqueue(a, r, REQ_TURN_RUNS);
    inner->ops->on_request(inner, r);
}

/* Not from inside itself: a request that ends at once frees the place that the loop fills anyway. */
static void start_waiting(struct admission *a)
{
    if (a->starting)
        return;
    a->starting = true;
    struct req *r;
    while ((!a->conf->max_inflight || a->n_running < a->conf->max_inflight) && (r = TAILQ_FIRST(&a->waiting))) {
        dequeue(a, r);
        run(a, r);
    }
    a->starting = false;
}

static void refuse(struct admission *a, struct req *r)
{
    score_add64(&a->score->refused, 1);
    uint64_t seconds = (a->conf->queue_timeout + 999) / 1000;
    resp_error_retry(r, 503, seconds ? (unsigned)seconds : 1);
}

/* The inner handler forgets the request first; then the client gets an answer, if one can still be sent. */
static void time_out(struct admission *a, struct req *r)
{
    dequeue(a, r);
    if (resp_is_given(r)) { /* only its client is slow, which is write_timeout's business */
        enqueue(a, r, REQ_TURN_RUNS);
        return;
    }
    score_add64(&a->score->timed_out, 1);
    char target[400], words[TRACING_WORDS];
    struct span method = req_span(r, r->method);
    size_t shown = site_show_target(r, target, sizeof(target));
    log_warning("request took longer than http.request_timeout: \"%.*s %.*s\"%s", (int)method.n, method.p, (int)shown,
                target, tracing_words(words, req_span(r, r->id)));
    resp_own(r); /* the handler forgets it before the answer is cut */
    inner_of(r)->ops->on_end(r, REQ_END_REQUEST_TIMEOUT);
    if (r->state <= REQ_HELD)
        resp_error(r, 504);
    else if (r->state < REQ_ENDED)
        resp_abort(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct admission *a = arg;
    uint64_t now = clock_ms();
    while (due(&a->waiting, a->conf->queue_timeout) <= now) {
        struct req *r = TAILQ_FIRST(&a->waiting);
        dequeue(a, r);
        refuse(a, r);
    }
    while (due(&a->running, a->conf->request_timeout) <= now)
        time_out(a, TAILQ_FIRST(&a->running));
    start_waiting(a);
    arm(a);
}

/* --- the handler --- */

static void on_request(struct handler *h, struct req *r)
{
    struct admission *a = ((struct gate *)h)->admission;
    const struct conf_http *conf = a->conf;
    r->handler = h;
    if (!conf->max_inflight || a->n_running < conf->max_inflight) {
        run(a, r);
    } else if (!conf->max_queue || a->n_waiting < conf->max_queue) {
        score_add64(&a->score->queued, 1);
        enqueue(a, r, REQ_TURN_WAITS);
    } else {
        refuse(a, r);
    }
}

static void on_body(struct req *r)
{
    inner_of(r)->ops->on_body(r);
}

static void on_drained(struct req *r)
{
    inner_of(r)->ops->on_drained(r);
}

static void on_peer_eof(struct req *r)
{
    if (r->turn.state == REQ_TURN_WAITS) /* no handler has started on it */
        req_abandon(r);
    else
        inner_of(r)->ops->on_peer_eof(r);
}

static void on_end(struct req *r, enum req_end why)
{
    struct admission *a = gate_of(r)->admission;
    bool ran = r->turn.state == REQ_TURN_RUNS;
    dequeue(a, r);
    if (ran)
        inner_of(r)->ops->on_end(r, why);
    if (TAILQ_FIRST(&a->waiting)) /* its place is free; not from inside the call that ended it */
        event_active(&a->timer, EV_TIMEOUT, 1);
}

static void on_conn_close(struct handler *h, struct conn *c)
{
    struct handler *inner = ((struct gate *)h)->inner;
    if (inner->ops->on_conn_close)
        inner->ops->on_conn_close(inner, c);
}

static const struct handler_ops gate_ops = {
    .name = "admission",
    .on_request = on_request,
    .on_body = on_body,
    .on_drained = on_drained,
    .on_peer_eof = on_peer_eof,
    .on_end = on_end,
    .on_conn_close = on_conn_close,
};

/* --- life --- */

bool admission_is_needed(const struct conf_http *conf)
{
    return conf->max_inflight || conf->request_timeout;
}

struct admission *admission_new(struct event_base *base, const struct conf_http *conf, struct score *score)
{
    struct admission *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->conf = conf;
    a->score = score;
    TAILQ_INIT(&a->waiting);
    TAILQ_INIT(&a->running);
    evtimer_assign(&a->timer, base, on_timer, a);
    return a;
}

struct handler *admission_gate(struct admission *a, struct handler *inner)
{
    struct gate *gate = malloc(sizeof(*gate));
    if (!gate)
        return NULL;
    *gate = (struct gate){ { &gate_ops }, inner, a, a->gates };
    a->gates = gate;
    return &gate->handler;
}

void admission_free(struct admission *a)
{
    if (!a)
        return;
    evtimer_del(&a->timer);
    for (struct gate *gate; (gate = a->gates);) {
        a->gates = gate->next;
        free(gate);
    }
    free(a);
}
