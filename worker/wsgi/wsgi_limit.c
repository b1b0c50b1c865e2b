/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_limit.c: see wsgi_limit.h. One timer, due when the oldest call is; it walks the calls that run, which are not more
 * than threads or greenlets. */
#include "worker/wsgi/wsgi_limit.h"

#include <Python.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/timers.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/app/app_report.h"
#include "worker/http/resp.h"
#include "worker/python/loop.h"
#include "worker/python/stacks.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_greenlet.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_state.h"

#define NO_STACK "  (none could be taken)\n"
/* For what a greenlet does when it is ended. */
#define LEAVE_MS 1000u

static const char *limit_name(const struct wsgi *wsgi)
{
    return wsgi->env.app->request_timeout ? "app.request_timeout" : "http.request_timeout";
}

/* Takes the stack. */
static void report(const char *what, uint64_t age_ms, const char *limit, const char *line, char *stack)
{
    char first[APP_DESCRIPTION + 160];
    snprintf(first, sizeof first, "%s %.1f s (%s): %s; its stack:", what, (double)age_ms / 1000.0, limit, line);
    log_block(LOG_LEVEL_ERROR, first, stack ? stack : NO_STACK, strlen(stack ? stack : NO_STACK));
    free(stack);
}

static void report_lost(const struct wsgi_call *c, const char *line, uint64_t age_ms, pthread_t thread)
{
    pyloop_enter_hidden(c->wsgi->env.loop);
    if (c->stage == CALL_GREENLET)
        report("a greenlet is lost to a request that goes on though it was ended after", age_ms, limit_name(c->wsgi),
               line, wsgi_greenlet_stack(c));
    else
        report("a thread is lost to a request that has kept it for", age_ms, limit_name(c->wsgi), line,
               stacks_of_thread((unsigned long)thread));
}

/* Milliseconds for which it has been a greenlet; 0: not yet. */
static uint64_t greenlet_age(const struct wsgi_call *c)
{
    return c->begun_ns ? (clock_ns() - c->begun_ns) / 1000000u : 0;
}

void wsgi_limit_end(struct wsgi_call *c, const char *limit)
{
    char line[APP_DESCRIPTION];
    if (c->killed_ns)
        return;
    wsgi_call_describe(c, line, sizeof line);
    pyloop_enter_hidden(c->wsgi->env.loop);
    report("a request is ended by GreenletExit after", greenlet_age(c), limit, line, wsgi_greenlet_stack(c));
    score_add64(&c->wsgi->env.score->overdue, 1);
    wsgi_greenlet_kill(c);
}

/* As http/admission.c does it: the handler forgets the request first. */
static void answer(struct wsgi_call *c, enum req_end why, unsigned status)
{
    struct req *r = c->req;
    resp_own(r);
    c->wsgi->handler.ops->on_end(r, why);
    if (r->state <= REQ_HELD)
        resp_error_retry(r, status, status == 503);
    else if (r->state < REQ_ENDED)
        resp_abort(r);
}

static const char *unit_of(const struct wsgi_call *c)
{
    return c->wsgi->greenlets ? "greenlet" : "thread";
}

static void lose(struct wsgi_call *c, uint64_t age_ms, pthread_t thread)
{
    struct wsgi *wsgi = c->wsgi;
    const struct app_env *env = &wsgi->env;
    char line[APP_DESCRIPTION], why[APP_DESCRIPTION + 80];
    wsgi_call_describe(c, line, sizeof line);
    report_lost(c, line, age_ms, thread);
    wsgi->lost++;
    if (c->stage == CALL_GREENLET) {
        c->lost = true;
        wsgi_pool_wake(wsgi->pool); /* another one stands in */
    } else {
        score_add64(&env->score->overdue, 1);
        wsgi_pool_lose(c);
    }
    wsgi_pool_stream_ends(c);
    wsgi_call_ref(c);
    if (c->req && !resp_is_given(c->req)) /* else only its client is slow, which is write_timeout's business */
        answer(c, REQ_END_REQUEST_TIMEOUT, 504);
    wsgi_call_unref(c);
    snprintf(why, sizeof why, "it has lost a %s (%s) to %s", unit_of(c), limit_name(wsgi), line);
    env->on_exit(env->exit_arg, why);
    env->on_threads_changed(env->exit_arg);
}

/* It has its exception in the hub's next round. */
static void end_greenlet(struct wsgi_call *c)
{
    wsgi_call_ref(c);
    wsgi_limit_end(c, limit_name(c->wsgi));
    if (c->req && !resp_is_given(c->req))
        answer(c, REQ_END_REQUEST_TIMEOUT, 504);
    wsgi_call_unref(c);
}

static bool is_carried(const struct wsgi_call *c)
{
    return c->socket && !c->req;
}

/* Nobody can have run for too long. */
static bool is_exempt(const struct wsgi_call *c)
{
    return (c->stage != CALL_POOL && c->stage != CALL_GREENLET) || c->lost || is_carried(c);
}

/* From the beginning of the call. */
static uint64_t limit_of(const struct wsgi_call *c)
{
    return c->killed_ns ? (c->killed_ns - c->begun_ns) / 1000000u + LEAVE_MS : c->wsgi->limit_ms;
}

static uint64_t age_of(struct wsgi_call *c, pthread_t *ret_thread)
{
    return c->stage == CALL_GREENLET ? greenlet_age(c) : wsgi_pool_age(c, ret_thread);
}

/* The one that is due, or NULL. *ret_wait_ms: until the next one may be. */
static struct wsgi_call *find_due(struct wsgi *wsgi, uint64_t *ret_age_ms, pthread_t *ret_thread, uint64_t *ret_wait_ms)
{
    struct wsgi_call *c;
    *ret_wait_ms = 0;
    TAILQ_FOREACH (c, &wsgi->calls, all) { /* a call that has begun stays there until its thread has ended it */
        if (is_exempt(c))
            continue;
        uint64_t age = age_of(c, ret_thread), limit = limit_of(c), wait = age < limit ? limit - age : 0;
        *ret_age_ms = age;
        if (!wait)
            return c;
        if (!*ret_wait_ms || wait < *ret_wait_ms)
            *ret_wait_ms = wait;
    }
    return NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct wsgi *wsgi = arg;
    uint64_t age_ms = 0, wait_ms;
    pthread_t thread = 0;
    for (struct wsgi_call *c; (c = find_due(wsgi, &age_ms, &thread, &wait_ms));)
        if (c->stage == CALL_GREENLET && !c->killed_ns)
            end_greenlet(c);
        else
            lose(c, age_ms, thread);
    struct timeval tv = timeval_of_ms(wait_ms);
    if (wait_ms)
        timer_add(wsgi->limit_timer, &tv);
}

int wsgi_limit_init(struct wsgi *wsgi)
{
    const struct conf *conf = wsgi->env.conf;
    uint64_t limit = wsgi->env.app->request_timeout;
    if (!(wsgi->limit_ms = limit ? limit : conf->http.request_timeout))
        return 0;
    wsgi->hands_over = true; /* the loop's thread has to be free to look */
    wsgi->limit_timer = evtimer_new(wsgi->env.base, on_timer, wsgi);
    return wsgi->limit_timer ? 0 : -1;
}

void wsgi_limit_done(struct wsgi *wsgi)
{
    if (wsgi->limit_timer)
        event_free(wsgi->limit_timer);
}

void wsgi_limit_watch(struct wsgi *wsgi)
{
    struct timeval tv = timeval_of_ms(wsgi->limit_ms);
    if (wsgi->limit_timer && !evtimer_pending(wsgi->limit_timer, NULL))
        timer_add(wsgi->limit_timer, &tv);
}

void wsgi_limit_found(struct wsgi_call *c)
{
    const struct app_env *env = &c->wsgi->env;
    char line[APP_DESCRIPTION];
    if (!c->lost)
        return;
    c->wsgi->lost--;
    wsgi_call_describe(c, line, sizeof line);
    log_warning("the %s that was lost to %s has come back", unit_of(c), line);
    env->on_threads_changed(env->exit_arg);
}

/* One that no thread has yet. */
static struct wsgi_call *take_one(struct wsgi *wsgi)
{
    struct wsgi_call *c;
    TAILQ_FOREACH (c, &wsgi->calls, all)
        if (c->req && (c->stage < CALL_POOL || (c->stage == CALL_POOL && wsgi_pool_is_queued(c))))
            return c;
    return NULL;
}

void wsgi_limit_give_up(struct wsgi *wsgi)
{
    struct interface_threads threads;
    wsgi_limit_count(wsgi, &threads);
    if (threads.room != ROOM_LOST)
        return;
    for (struct wsgi_call *c; (c = take_one(wsgi));)
        answer(c, REQ_END_SHUTDOWN, 503); /* on_end takes it back from the pool */
}

void wsgi_limit_count(struct wsgi *wsgi, struct interface_threads *ret)
{
    if (wsgi->greenlets)
        wsgi_greenlets_count(wsgi, ret);
    else
        wsgi_pool_count(wsgi->pool, ret);
}
