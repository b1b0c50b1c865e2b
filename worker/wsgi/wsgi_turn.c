/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_turn.c: see wsgi_turn.h.
 *
 * threads > 1: the pool runs it. threads = 1: the loop's thread runs it without handing it over, if nothing has to be
 * waited for; else the pool's only thread. Then the application never has two requests at a time: the next one starts
 * when the last one has ended.
 *
 * app.loop = gevent: each runs as a greenlet on the loop's thread, `threads` at most.
 *
 * What the client has no room for lies in a file as well, and the application continues. When there is no room for more, a
 * thread of the pool or a greenlet waits; an iterable on the loop's thread is left alone meanwhile. write(), which cannot
 * be, continues to fill the file there, and an application that does this is run by the pool's thread from then on.
 */
#include "worker/wsgi/wsgi_turn.h"

#include <stdio.h>

#include "common/fatal.h"
#include "common/log.h"
#include "worker/app/app_report.h"
#include "worker/http/resp.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/step_watch.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_flusher.h"
#include "worker/wsgi/wsgi_greenlet.h"
#include "worker/wsgi/wsgi_head.h"
#include "worker/wsgi/wsgi_input.h"
#include "worker/wsgi/wsgi_limit.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_run.h"
#include "worker/wsgi/wsgi_socket.h"
#include "worker/wsgi/wsgi_state.h"

static void report_exit(const struct wsgi_call *c)
{
    const struct app_env *env = &c->wsgi->env;
    char line[APP_DESCRIPTION], why[APP_DESCRIPTION + 40];
    wsgi_call_describe(c, line, sizeof line);
    snprintf(why, sizeof why, "%s in %s", c->exit, line);
    env->on_exit(env->exit_arg, why);
}

/* What it kept others from. */
static void leave_turn(struct wsgi_call *c)
{
    struct wsgi *wsgi = c->wsgi;
    if (c->stage < CALL_POOL)
        return;
    wsgi->n_greenlets -= c->stage == CALL_GREENLET;
    wsgi->busy = false;
    if ((wsgi->threads == 1 || wsgi->greenlets) && !TAILQ_EMPTY(&wsgi->waiting))
        wsgi_pool_wake(wsgi->pool);
}

/* The application has ended, or will not be called. */
void wsgi_turn_end(struct wsgi_call *c)
{
    struct wsgi *wsgi = c->wsgi;
    if (c->exit)
        report_exit(c);
    wsgi_limit_found(c);
    wsgi_pool_stream_ends(c);
    wsgi_socket_call_ended(c);
    leave_turn(c);
    c->stage = CALL_OVER;
    wsgi->running--;
    TAILQ_REMOVE(&wsgi->calls, c, all);
    wsgi_call_unref(c);
}

/* The application runs on the loop's thread: for the watch on the loop's steps. NULL: there is none. */
static struct step_watch *step_begins(const struct wsgi_call *c)
{
    struct step_watch *watch = pyloop_step_watch(c->wsgi->env.loop);
    if (!watch)
        return NULL;
    if (c->req) {
        struct span method = req_span(c->req, c->req->method), path = req_span(c->req, c->req->path);
        snprintf(step_watch_name(watch), STEP_WHAT, "%.*s %.*s", (int)method.n, method.p,
                 (int)(path.n < STEP_WHAT ? path.n : STEP_WHAT), path.p);
    }
    step_watch_enter(watch);
    return watch;
}

static void step_ends(struct step_watch *watch)
{
    if (watch)
        step_watch_leave(watch);
}

static void run_inline(struct wsgi_call *c)
{
    pyloop_enter_hidden(c->wsgi->env.loop);
    c->stage = CALL_INLINE;
    c->is_inline = true;
    struct step_watch *watch = step_begins(c);
    c->suspended = !wsgi_run(c);
    wsgi_flusher_leave(c->wsgi->flusher);
    step_ends(watch);
    if (!c->suspended)
        wsgi_turn_end(c);
}

static void refuse(struct wsgi_call *c, const char *why)
{
    struct req *r = c->req;
    log_error("a WSGI request is refused: %s", why);
    wsgi_turn_end(c);
    resp_error(r, 503);
}

/* An exception is set. */
static void refuse_greenlet(struct wsgi_call *c)
{
    pyerr_log(LOG_LEVEL_ERROR, "A greenlet cannot be made");
    refuse(c, "no greenlet can be made for it");
}

/* In the greenlet. */
static void run_in_greenlet(struct wsgi_call *c)
{
    struct wsgi *wsgi = c->wsgi;
    fatal_unless(wsgi_run(c));
    Py_CLEAR(c->greenlet);
    wsgi_greenlet_wake_all(c); /* others that read its body, in vain */
    wsgi_flusher_leave(wsgi->flusher);
    wsgi_turn_end(c);
    pyloop_touched(wsgi->env.loop);
}

/* What is in memory goes along, unless it comes after what is in the file: then the application asks for it. 0, or
 * -1: out of memory. */
static int give_body(struct wsgi_call *c)
{
    struct span body = req_body(c->req);
    if (wsgi_spool_left(&c->body) && body.n)
        return 0;
    c->in_ended = req_body_ended(c->req);
    if (body.n && buf_add(&c->in, body.p, body.n) < 0)
        return -1;
    if (body.n)
        req_body_take(c->req, body.n);
    return 0;
}

/* The stage is that in which the application has it. */
static void set_running(struct wsgi_call *c, enum wsgi_stage stage)
{
    c->stage = stage;
    c->streams = !req_body_ended(c->req);
    c->wsgi->streams += c->streams;
    if (c->in.cap)
        wsgi_input_weigh(c);
}

static void give_to_greenlet(struct wsgi_call *c)
{
    struct wsgi *wsgi = c->wsgi;
    pyloop_enter_hidden(wsgi->env.loop);
    wsgi->n_greenlets++;
    set_running(c, CALL_GREENLET);
    if (wsgi_greenlet_push(c) < 0) {
        refuse_greenlet(c);
    } else {
        wsgi_head_watch(wsgi);
        wsgi_limit_watch(wsgi);
    }
}

static void start_application(struct wsgi_call *c)
{
    struct wsgi *wsgi = c->wsgi;
    if (give_body(c) < 0) {
        refuse(c, "out of memory");
        return;
    }
    wsgi->busy = true;
    wsgi_socket_offer(c);
    if (wsgi->greenlets) {
        give_to_greenlet(c);
        return;
    }
    if (wsgi->threads == 1 && c->in_ended && !wsgi->hands_over && !c->socket) {
        run_inline(c);
        return;
    }
    set_running(c, CALL_POOL);
    if (wsgi_pool_push(c) < 0) {
        refuse(c, "no thread can be made for it");
    } else {
        wsgi_head_watch(wsgi);
        wsgi_limit_watch(wsgi);
    }
}

static bool may_start(const struct wsgi_call *c)
{
    const struct wsgi *wsgi = c->wsgi;
    if (wsgi->greenlets && wsgi->n_greenlets >= wsgi_greenlets_most(wsgi))
        return false;
    if (wsgi->threads == 1)
        return wsgi->greenlets || !wsgi->busy;
    return req_body_ended(c->req) || wsgi->streams < wsgi->threads / 2;
}

void wsgi_turn_take(struct wsgi_call *c)
{
    struct wsgi *wsgi = c->wsgi;
    if (may_start(c)) {
        start_application(c);
        return;
    }
    c->stage = CALL_WAIT_TURN;
    TAILQ_INSERT_TAIL(&wsgi->waiting, c, turn);
}

/* The first of those that wait may have its turn. */
void wsgi_turn_next(struct wsgi *wsgi)
{
    struct wsgi_call *c;
    while ((c = TAILQ_FIRST(&wsgi->waiting)) && may_start(c)) {
        TAILQ_REMOVE(&wsgi->waiting, c, turn);
        start_application(c);
    }
}

void wsgi_turn_resume(struct wsgi_call *c)
{
    pyloop_enter_hidden(c->wsgi->env.loop);
    c->suspended = false; /* what ends the request meanwhile must not come back here */
    struct step_watch *watch = step_begins(c);
    c->suspended = !wsgi_run_resume(c);
    wsgi_flusher_leave(c->wsgi->flusher);
    step_ends(watch);
    if (!c->suspended)
        wsgi_turn_end(c);
}

const struct wsgi_greenlet_ops wsgi_turn_greenlets = {
    .run = run_in_greenlet,
    .refuse = refuse_greenlet,
};
