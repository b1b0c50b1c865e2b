/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi.c: opens WSGI for a worker, and takes the events of its requests: when a body is complete enough for the application
 * (wsgi_turn.c then leads it there), and what its client has taken.
 *
 * A request starts when its body is here, so that a slow client holds no thread: up to 64 KB of it (HTTP/2: 32 KB) lie in
 * memory, more in a file without a name (app.spool). One that is larger than that, or waits for 100 (Continue), starts
 * without the rest and reads while it comes, from its first 64 KB on if those come fast; only half of the threads do that.
 */
#include "worker/wsgi/wsgi.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/machine.h"
#include "conf/conf.h"
#include "worker/app/app_report.h"
#include "worker/app/draining.h"
#include "worker/http/resp.h"
#include "worker/python/interp.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_environ.h"
#include "worker/wsgi/wsgi_errors.h"
#include "worker/wsgi/wsgi_file.h"
#include "worker/wsgi/wsgi_flusher.h"
#include "worker/wsgi/wsgi_greenlet.h"
#include "worker/wsgi/wsgi_head.h"
#include "worker/wsgi/wsgi_input.h"
#include "worker/wsgi/wsgi_limit.h"
#include "worker/wsgi/wsgi_out.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_run.h"
#include "worker/wsgi/wsgi_socket.h"
#include "worker/wsgi/wsgi_start.h"
#include "worker/wsgi/wsgi_state.h"
#include "worker/wsgi/wsgi_turn.h"

/* How long the first WSGI_BODY_MARK bytes of a body take at most if its client is fast. */
#define FAST_NS 50000000
#define AUTO_THREADS_LEAST 4
#define AUTO_THREADS_MOST 16

/* --- the request's events --- */

/* So much of a body waits in memory. Over HTTP/2 more comes only when some was taken, and a stream's window has fewer than
 * WSGI_BODY_MARK bytes. */
static size_t memory_mark(const struct req *r)
{
    return r->version == HTTP_2 ? WSGI_BODY_MARK / 2 : WSGI_BODY_MARK;
}

/* False: there is no room, or no file: it is read while it comes. */
static bool put_into_file(struct wsgi_call *c)
{
    struct req *r = c->req;
    struct span bytes = req_body(r);
    if (!wsgi_spool_has_room(c->wsgi, c->body.n, bytes.n))
        return false;
    if (wsgi_spool_add(c->wsgi, &c->body, bytes) < 0) {
        wsgi_spool_complain(c->wsgi, errno);
        return false;
    }
    req_body_take(r, bytes.n);
    return true;
}

/* A body that will not fit into a file, of a client that is fast so far: what the file could take would cost more than all
 * the rest of its way. */
static bool needs_no_file(const struct wsgi_call *c)
{
    const struct wsgi *wsgi = c->wsgi;
    const struct req *r = c->req;
    return r->content_length > 0 && (uint64_t)r->content_length > wsgi->env.app->spool && !c->body.n &&
           wsgi->streams < wsgi->threads / 2 && clock_ns() - r->started_ns < FAST_NS;
}

/* What has come of the body waits for the rest. */
static void gather(struct wsgi_call *c)
{
    struct req *r = c->req;
    bool ended = req_body_ended(r), much = ended ? c->body.n && req_body(r).n : req_body(r).n >= memory_mark(r);
    if (r->expect_continue || (much && !ended && needs_no_file(c)) || (much && !put_into_file(c)) || ended)
        wsgi_turn_take(c);
    else
        req_body_want(r); /* on_body comes back here */
}

static void on_request(struct handler *h, struct req *r)
{
    struct wsgi *wsgi = (struct wsgi *)h;
    if (r->protocol.n) { /* PEP 3333 knows no WebSockets */
        resp_error(r, 501);
        return;
    }
    struct wsgi_call *c = wsgi_call_new(wsgi, r);
    if (!c) {
        resp_error(r, 503);
        return;
    }
    r->user = c;
    r->body_high = WSGI_READ_AHEAD;
    wsgi->running++;
    TAILQ_INSERT_TAIL(&wsgi->calls, c, all);
    gather(c);
}

static void on_body(struct req *r)
{
    struct wsgi_call *c = r->user;
    if (c->stage == CALL_WAIT_BODY)
        gather(c);
    else if (c->wants_body)
        wsgi_input_feed(c);
}

static void on_drained(struct req *r)
{
    struct wsgi_call *c = r->user;
    size_t late = wsgi_out_drained(c);
    wsgi_call_ref(c);
    if (!c->is_inline && late)
        wsgi_pool_credit(c, late);
    wsgi_out_pump(c);
    wsgi_greenlet_wake_all(c);
    if (c->suspended && !wsgi_out_must_wait(c))
        wsgi_turn_resume(c);
    wsgi_call_unref(c);
}

static void on_peer_eof(struct req *r)
{
    /* It may still wait for the answer; if it has gone, writing to it fails. */
}

/* It was given to a thread or a greenlet, and none has begun with it. */
static bool was_taken_back(struct wsgi_call *c)
{
    return (c->stage == CALL_POOL && wsgi_pool_take_back(c)) ||
           (c->stage == CALL_GREENLET && wsgi_greenlet_take_back(c));
}

static void on_end(struct req *r, enum req_end why)
{
    struct wsgi_call *c = r->user;
    if (!c)
        return;
    r->user = NULL;
    wsgi_out_end(c, why);
    wsgi_greenlet_wake_all(c);
    if (c->stage == CALL_GREENLET && why == REQ_END_REQUEST_TIMEOUT)
        wsgi_limit_end(c, "http.request_timeout");
    if (c->stage == CALL_WAIT_TURN)
        TAILQ_REMOVE(&c->wsgi->waiting, c, turn);
    if (c->stage < CALL_POOL || was_taken_back(c))
        wsgi_turn_end(c);
    else if (c->suspended)
        wsgi_turn_resume(c);
    wsgi_call_unref(c);
}

static const struct handler_ops wsgi_handler_ops = {
    .name = "wsgi",
    .on_request = on_request,
    .on_body = on_body,
    .on_drained = on_drained,
    .on_peer_eof = on_peer_eof,
    .on_end = on_end,
};

static const struct wsgi_pool_ops pool_ops = {
    .run = wsgi_run,
    .give = wsgi_out_give,
    .pump = wsgi_out_pump,
    .fail = wsgi_out_fail,
    .feed = wsgi_input_feed,
    .on_ended = wsgi_turn_end,
    .on_turn = wsgi_turn_next,
};

/* --- life --- */

static int names_init(struct wsgi_names *names)
{
#define NAME(member, text)                                   \
    if (!(names->member = PyUnicode_InternFromString(text))) \
        return -1;
#include "worker/wsgi/wsgi_names.def"
    return 0;
}

static void names_done(struct wsgi_names *names)
{
#define NAME(member, text) Py_CLEAR(names->member);
#include "worker/wsgi/wsgi_names.def"
}

/* Only for one that was never used: afterwards objects of the application may hold it until the process ends. */
static void wsgi_free(struct wsgi *wsgi)
{
    wsgi_head_done(wsgi);
    wsgi_limit_done(wsgi);
    wsgi_greenlets_done(wsgi);
    wsgi_pool_free(wsgi->pool);
    wsgi_flusher_free(wsgi->flusher);
    wsgi_environ_done(wsgi);
    Py_CLEAR(wsgi->input_type);
    Py_CLEAR(wsgi->errors_type);
    Py_CLEAR(wsgi->start_type);
    Py_CLEAR(wsgi->file_type);
    Py_CLEAR(wsgi->file_io);
    Py_CLEAR(wsgi->buffered_reader);
    Py_CLEAR(wsgi->buffered_random);
    Py_CLEAR(wsgi->context);
    Py_CLEAR(wsgi->gone_error);
    Py_CLEAR(wsgi->app);
    Py_CLEAR(wsgi->draining);
    names_done(&wsgi->names);
    free(wsgi);
}

static int types_init(struct wsgi *wsgi)
{
    return wsgi_input_init(wsgi) < 0 || wsgi_errors_init(wsgi) < 0 || wsgi_start_init(wsgi) < 0 ||
                   wsgi_file_init(wsgi) < 0
               ? -1
               : 0;
}

static int wsgi_init(struct wsgi *wsgi)
{
    bool greenlets = pyloop_runs_greenlets(wsgi->env.loop);
    if (greenlets && wsgi_greenlets_init(wsgi, &wsgi_turn_greenlets) < 0)
        return -1;
    wsgi->draining = draining_new(greenlets ? DRAINING_GREENLETS : DRAINING_THREADS);
    if (!wsgi->draining || names_init(&wsgi->names) < 0 || types_init(wsgi) < 0)
        return -1;
    PyObject *errors = wsgi_errors_new(wsgi);
    int r = errors ? wsgi_environ_init(wsgi, errors) : -1;
    Py_XDECREF(errors);
    if (r < 0 || !(wsgi->context = PyContext_CopyCurrent()))
        return -1;
    wsgi->gone_error = PyErr_NewExceptionWithDoc("tine.ClientDisconnected",
                                                 "The client went away before the request or its answer was complete.",
                                                 PyExc_ConnectionError, NULL);
    if (!wsgi->gone_error)
        return -1;
    wsgi->flusher = wsgi_flusher_new(wsgi->env.interp->state);
    wsgi->pool = wsgi_pool_new(wsgi, wsgi->env.base, wsgi->env.interp->state, wsgi->threads, &pool_ops);
    if (wsgi->flusher && wsgi->pool && wsgi_head_init(wsgi) == 0 && wsgi_limit_init(wsgi) == 0)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* app.threads = auto. */
static unsigned auto_threads(const struct conf *conf)
{
    unsigned n = 2 * machine_cores() / conf->server.workers;
    if (conf->app.loop == CONF_LOOP_GEVENT)
        return CONF_GREENLETS;
    return n < AUTO_THREADS_LEAST ? AUTO_THREADS_LEAST : n < AUTO_THREADS_MOST ? n : AUTO_THREADS_MOST;
}

static struct handler *wsgi_open(const struct app_env *env, PyObject *object)
{
    struct wsgi *wsgi = calloc(1, sizeof *wsgi);
    if (!wsgi) {
        PyErr_NoMemory();
        return NULL;
    }
    wsgi->handler.ops = &wsgi_handler_ops;
    wsgi->env = *env;
    wsgi->threads = env->app->threads ? env->app->threads : auto_threads(env->conf);
    wsgi->loop_thread = pthread_self();
    wsgi->app = Py_NewRef(object);
    TAILQ_INIT(&wsgi->calls);
    TAILQ_INIT(&wsgi->waiting);
    if (wsgi_init(wsgi) == 0)
        return &wsgi->handler;
    PyObject *exception = pyerr_take();
    wsgi_free(wsgi);
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
    return NULL;
}

/* There is no lifespan in WSGI. */
static void wsgi_start(struct handler *h, void (*done)(void *, enum interface_start, const char *), void *arg)
{
    struct wsgi *wsgi = (struct wsgi *)h;
    if (wsgi->env.app->lifespan == CONF_LIFESPAN_ON)
        done(arg, INTERFACE_START_FAILED, "lifespan = on, but a WSGI application has no lifespan");
    else
        done(arg, INTERFACE_STARTED, NULL);
}

static void wsgi_stop(struct handler *h, void (*done)(void *), void *arg)
{
    done(arg);
}

static void wsgi_drain(struct handler *h, bool service_stops)
{
    draining_tell(((struct wsgi *)h)->draining);
    wsgi_limit_give_up((struct wsgi *)h);
}

/* What is lost has been answered, and nobody waits for it. */
static unsigned wsgi_running(struct handler *h)
{
    const struct wsgi *wsgi = (struct wsgi *)h;
    return wsgi->running - wsgi->lost;
}

static void wsgi_count_threads(struct handler *h, struct interface_threads *ret)
{
    wsgi_limit_count((struct wsgi *)h, ret);
}

/* Those that wait for their client end with its connection, which was cut; a thread inside the application cannot be
 * stopped, a greenlet can. */
static void wsgi_cancel(struct handler *h)
{
    struct wsgi_call *c;
    char line[APP_DESCRIPTION];
    TAILQ_FOREACH (c, &((struct wsgi *)h)->calls, all)
        if (c->stage == CALL_POOL || c->stage == CALL_GREENLET) {
            wsgi_call_describe(c, line, sizeof line);
            log_warning("Request still in the application: %s", line);
            wsgi_greenlet_kill(c);
        }
}

const struct interface_ops interface_wsgi = {
    .name = "wsgi",
    .open = wsgi_open,
    .start = wsgi_start,
    .stop = wsgi_stop,
    .drain = wsgi_drain,
    .running = wsgi_running,
    .count_threads = wsgi_count_threads,
    .cancel = wsgi_cancel,
};
