/* SPDX-License-Identifier: BSD-3-Clause */
/* worker.c: the order of birth and death of a worker. Knows the stages; never a byte of a request.
 */
#include "worker/worker.h"

#include <event2/event.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/forked.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/plural.h"
#include "common/scoreboard.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/log/access_log.h"
#include "worker/coding/compress.h"
#include "worker/net/accept.h"
#include "worker/tls/tls.h"
#include "worker/protocols.h"

/* For tasks that were cancelled. */
#define CANCEL_MS 500
/* For the shutdown of a worker that has not served. */
#define STOP_MS 1300

static struct score *score_of(struct worker *w)
{
    return &w->heritage->scoreboard->slot[w->heritage->slot];
}

static void set_state(struct worker *w, enum worker_state to)
{
    if (to <= w->state) {
        log_critical("worker state %d cannot follow %d", (int)to, (int)w->state);
        abort();
    }
    w->state = to;
}

static void set_deadline(struct worker *w, uint64_t ms)
{
    struct timeval t = timeval_of_ms(ms);
    timer_add(&w->deadline_event, &t);
}

static void finish_loop(struct worker *w)
{
    set_state(w, WORKER_DONE);
    evtimer_del(&w->deadline_event);
    if (w->app)
        worker_app_end(w->app);
    else
        event_base_loopbreak(w->base);
}

/* --- birth --- */

static void report_why(const struct heritage *heritage, enum ipc_type type, const char *why)
{
    if (ipc_send(heritage->ipc_fd, type, why, strlen(why)) < 0)
        log_error("worker cannot tell the master why it failed: %s", why);
}

void worker_report_failure(const struct heritage *heritage, const struct worker_failure *failure)
{
    enum ipc_type type = failure->status == WORKER_EXIT_NEED_MAIN ? IPC_NEED_MAIN : IPC_FAILED;
    report_why(heritage, type, failure->why ? failure->why : "out of memory");
}

/* Startup failed: reports why to the master and ends with the failure's status. Frees `failure->why`. */
static void fail_start(struct worker *w, struct worker_failure *failure)
{
    worker_report_failure(w->heritage, failure);
    free(failure->why);
    w->exit_status = failure->status;
    if (w->state == WORKER_BOOTING && (w->app || w->net.base))
        finish_loop(w);
}

static void on_start_failed(struct worker *w, int status, const char *why)
{
    struct worker_failure failure;
    worker_failed(&failure, status, why);
    fail_start(w, &failure);
}

/* Startup has ended: accept and say READY. */
static void start_serving(struct worker *w)
{
    if (w->state != WORKER_BOOTING) /* asked to stop meanwhile */
        return;
    w->acceptor = acceptor_new(&w->net, w->heritage->listeners, w->heritage->n_listeners, w->heritage->scoreboard);
    if (!w->acceptor) {
        on_start_failed(w, WORKER_EXIT_BOOT, strerror(errno));
        return;
    }
    prctl(PR_SET_PDEATHSIG, 0); /* from here on, EOF shows that the master is gone: see spawn.c */
    set_state(w, WORKER_SERVING);
    worker_trim_memory();
    w->log_dropped = log_dropped();
    hearing_init(&w->hearing, w->base, w->heritage->ipc_fd, w->conf->server.timeout);
    worker_beat_start(w);
    w->recycle_at = worker_recycle_at(&w->conf->server);
    atomic_store_explicit(&score_of(w)->heartbeat_ns, clock_ns(), memory_order_relaxed);
    if (ipc_send(w->heritage->ipc_fd, IPC_READY, NULL, 0) < 0)
        log_error("worker cannot tell the master that it is ready: %s", strerror(errno));
}

/* --- death --- */

static void on_stopped(struct worker *w)
{
    if (w->state == WORKER_STOPPING)
        finish_loop(w);
}

static void stop_app(struct worker *w, uint64_t deadline_ms)
{
    set_state(w, WORKER_STOPPING);
    set_deadline(w, deadline_ms);
    if (w->app)
        worker_app_stop(w->app);
    else
        on_stopped(w);
}

static void on_needs_main(struct worker *w, const char *why)
{
    if (w->state > WORKER_SERVING || w->has_refused)
        return;
    w->has_refused = true;
    report_why(w->heritage, IPC_NEED_MAIN, why);
    if (w->state == WORKER_SERVING)
        return;
    w->exit_status = WORKER_EXIT_NEED_MAIN;
    stop_app(w, STOP_MS);
}

static void cancel_requests(struct worker *w)
{
    set_state(w, WORKER_CANCELLING);
    set_deadline(w, CANCEL_MS);
    net_cut(&w->net);
    if (w->app)
        worker_app_cancel(w->app);
}

static void stop_accepting(struct worker *w)
{
    w->net.draining = true;
    if (w->acceptor)
        acceptor_stop(w->acceptor);
}

static void drain(struct worker *w)
{
    worker_limits_begin(w, false);
    if (w->state == WORKER_BOOTING) {
        ipc_send(w->heritage->ipc_fd, IPC_DRAINING, NULL, 0); /* it listens: no need to kill it soon */
        stop_app(w, w->conf->server.graceful_timeout);
        return;
    }
    if (w->state != WORKER_SERVING)
        return;
    set_state(w, WORKER_DRAINING);
    ipc_send(w->heritage->ipc_fd, IPC_DRAINING, NULL, 0);
    stop_accepting(w);
    if (w->app)
        worker_app_drain(w->app, w->service_stops);
    net_shutdown(&w->net);
    set_deadline(w, worker_drain_limit(w));
    event_active(&w->boot_event, EV_TIMEOUT, 1); /* a turn, to see whether nothing is left already */
}

static void ask_master(struct worker *w, enum ipc_type type, const char *why)
{
    if (w->state != WORKER_SERVING || w->wants_successor)
        return;
    w->wants_successor = true;
    w->recycle_at = 0;
    if (ipc_send(w->heritage->ipc_fd, type, why, strlen(why)) < 0)
        log_error("worker cannot ask for a successor: %s", strerror(errno));
}

static void ask_for_successor(struct worker *w, const char *why)
{
    ask_master(w, IPC_RECYCLE, why);
}

static void on_loop_left(struct worker *w, const char *why)
{
    if (w->state > WORKER_SERVING) /* it ends already */
        return;
    w->exit_status = WORKER_EXIT_BOOT;
    if (w->state == WORKER_SERVING) {
        drain(w);
        return;
    }
    report_why(w->heritage, IPC_FAILED, why);
    stop_app(w, STOP_MS);
}

static void quit(struct worker *w)
{
    worker_limits_begin(w, true);
    if (w->state == WORKER_BOOTING) {
        stop_app(w, CANCEL_MS);
    } else if (w->state < WORKER_CANCELLING) {
        stop_accepting(w);
        if (w->app && w->state == WORKER_SERVING)
            worker_app_drain(w->app, true);
        cancel_requests(w);
        event_active(&w->boot_event, EV_TIMEOUT, 1);
    } else if (w->state == WORKER_STOPPING) {
        set_deadline(w, worker_shutdown_limit(w));
    }
}

static void on_terminated(struct worker *w)
{
    if (w->state == WORKER_SERVING)
        ask_master(w, IPC_TERMINATED, "it got a SIGTERM");
    else
        drain(w);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    unsigned running;
    switch (w->state) {
    case WORKER_DRAINING:
        running = w->app ? worker_app_running(w->app) : 0;
        log_warning(
            "%u connection%s and %u request%s are left of those in flight: cutting them (server.graceful_timeout, "
            "less shutdown_timeout)",
            w->net.n_conns, plural(w->net.n_conns), running, plural(running));
        cancel_requests(w);
        break;
    case WORKER_CANCELLING:
        stop_app(w, worker_shutdown_limit(w));
        break;
    case WORKER_STOPPING:
        log_warning("lifespan shutdown took too long: leaving it (server.shutdown_timeout)");
        finish_loop(w);
        break;
    default:
        break;
    }
}

/* --- every turn --- */

static void has_served_enough(struct worker *w)
{
    char why[64];
    snprintf(why, sizeof why, "%llu request%s answered (server.max_requests)",
             (unsigned long long)score_of(w)->requests, plural(score_of(w)->requests));
    w->recycle_at = 0;
    ask_for_successor(w, why);
}

static void count_dropped(struct worker *w)
{
    uint64_t dropped = log_dropped();
    score_add64(&score_of(w)->error_log_dropped, dropped - w->log_dropped);
    w->log_dropped = dropped;
}

/* The reader of the log may be slow; without requests the next turn would be a heartbeat away. */
static void look_at_log_again(struct worker *w)
{
    static const struct timeval soon = { .tv_usec = 20000 };
    if (!evtimer_pending(&w->boot_event, NULL))
        timer_add(&w->boot_event, &soon);
}

static void on_turn(struct worker *w)
{
    if (log_dropped() != w->log_dropped)
        count_dropped(w);
    atomic_store_explicit(&score_of(w)->heartbeat_ns, clock_ns(), memory_order_relaxed);
    if (w->state == WORKER_DONE) /* connections and logs are given back; tasks of the application still end */
        return;
    if (w->recycle_at && score_of(w)->requests >= w->recycle_at)
        has_served_enough(w);
    net_turn(&w->net);
    if (w->net.tls)
        tls_turn(w->net.tls);
    if (w->access_log && !access_log_flush(w->access_log))
        look_at_log_again(w);
    if ((w->state == WORKER_DRAINING || w->state == WORKER_CANCELLING) && !w->net.n_conns &&
        !(w->app && worker_app_running(w->app)))
        stop_app(w, worker_shutdown_limit(w));
}

static void reopen_logs(struct worker *w)
{
    worker_check_descriptors(w); /* what is closed below must be ours */
    if (log_reopen() < 0)
        log_error("cannot reopen the error log: %s", strerror(errno));
    if (w->access_log && access_log_reopen(w->access_log) < 0)
        log_error("cannot reopen the access log: %s", strerror(errno));
}

/* --- all of it --- */

/* First event of the loop; later only a reason for a turn. */
static void on_boot(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    if (w->state != WORKER_BOOTING)
        return;
    if (w->app)
        worker_app_start(w->app);
    else
        start_serving(w);
}

/* 0, or -1 with errno. */
static int start_base(struct worker *w)
{
    struct forked_mark mark;
    int before[DESCRIPTORS_BEFORE];
    size_t n = descriptors_open(before, DESCRIPTORS_BEFORE);
    if (worker_guard_forks(w->heritage) < 0)
        return -1;
    forked_mark(&mark);
    w->base = worker_base_new();
    forked_own_since(&mark);
    if (!w->base || worker_ipc_start(w) < 0)
        return -1;
    worker_note_descriptors(w, before, n);
    return 0;
}

/* 0, or -1 with errno. */
static int start_net_parts(struct worker *w)
{
    if (net_init(&w->net, w->base, w->conf, score_of(w)) < 0)
        return -1;
    if (compressor_new(w->base, &w->conf->http, &w->compressor) < 0 || site_init(&w->site, w->conf, w->base) < 0)
        return -1;
    w->site.filter = compressor_filter(w->compressor);
    w->site.access_log = w->access_log;
    w->site.keeps_fields = w->access_log && access_log_wants_fields(w->access_log);
    w->site.http2 = protocols_http2();
    w->site.leaves = &w->heritage->scoreboard->common->leaves;
    w->net.site = &w->site;
    w->net.limits = w->heritage->limits;
    w->net.slot = w->heritage->slot;
    w->net.choose_proto = protocols_choose;
    return 0;
}

/* 0, or -1 and *ret says why. */
static int start_net(struct worker *w, struct worker_failure *ret)
{
    const struct conf_log *log = &w->conf->log;
    const char *name = w->conf->server.proc_name;
    if (log->accesslog &&
        !(w->access_log = access_log_open(log->accesslog, w->folder, log->access_log_format, name ? name : "tine"))) {
        char why[PATH_MAX + 100];
        snprintf(why, sizeof why, "log.accesslog %s: %s", log->accesslog, strerror(errno));
        return worker_failed(ret, WORKER_EXIT_BOOT, why);
    }
    if (w->access_log)
        access_log_exclude(w->access_log, &log->access_exclude);
    if (start_net_parts(w) < 0)
        return worker_failed(ret, WORKER_EXIT_BOOT, strerror(errno));
    return 0;
}

/* 0, or -1 and *ret says why. */
static int start_worker(struct worker *w, struct worker_failure *ret)
{
    log_fix_zone(); /* before anything of the application's runs */
    for (size_t i = 0; i < w->conf->n_env; i++)
        setenv(w->conf->env[i].name, w->conf->env[i].value, 1);
    atomic_store_explicit(&score_of(w)->pid, getpid(), memory_order_relaxed);
    if (start_base(w) < 0)
        return worker_failed(ret, WORKER_EXIT_BOOT, strerror(errno));
    evtimer_assign(&w->deadline_event, w->base, on_deadline, w);
    evtimer_assign(&w->boot_event, w->base, on_boot, w);
    worker_beat_new(w);
    return start_net(w, ret);
}

static void run_loop(struct worker *w)
{
    event_active(&w->boot_event, EV_TIMEOUT, 1);
    if (w->app && worker_app_run(w->app) < 0)
        w->exit_status = WORKER_EXIT_BOOT;
    while (!w->app && w->state != WORKER_DONE && event_base_loop(w->base, EVLOOP_ONCE) == 0)
        on_turn(w);
    if (w->state != WORKER_DONE) /* the loop cannot be run any more */
        finish_loop(w);
}

static void free_worker(struct worker *w)
{
    stop_accepting(w);
    net_done(&w->net);
    site_done(&w->site);
    tls_free(w->net.tls);
    w->net.tls = NULL; /* the end of Python, below, still has turns */
    if (w->access_log)
        access_log_finish(w->access_log);
    compressor_free(w->compressor);
    if (w->app)
        worker_app_free(w->app, worker_threads_limit(w));
    if (w->acceptor)
        acceptor_free(w->acceptor);
    worker_routes_free(w);
    access_log_free(w->access_log);
    worker_ipc_stop(w);
    evtimer_del(&w->deadline_event);
    evtimer_del(&w->boot_event);
    event_del(&w->beat_event);
    event_base_free(w->base);
}

static const struct worker_events worker_events = {
    .started = start_serving,
    .start_failed = on_start_failed,
    .needs_main = on_needs_main,
    .stopped = on_stopped,
    .turn = on_turn,
    .loop_left = on_loop_left,
    .wants_successor = ask_for_successor,
    .drain = drain,
    .quit = quit,
    .terminated = on_terminated,
    .reopen_logs = reopen_logs,
};

/* `app` as in worker_live(). 0, or -1, reported. */
static int start_app(struct worker *w, struct worker_app *app)
{
    struct worker_failure failure;
    int r = 0;
    if (app)
        r = worker_app_adopt(app, w, &failure);
    else if (worker_app_is_needed(w->conf))
        r = worker_app_new(w, &app, &failure);
    if (r == 0) {
        w->app = app;
        return 0;
    }
    fail_start(w, &failure);
    worker_app_give_up(app);
    return -1;
}

/* TLS, the applications, who answers what. 0, or -1, reported. */
static int start_parts(struct worker *w, struct worker_app *app)
{
    struct worker_failure failure;
    if (worker_tls_start(w, &failure) < 0) {
        fail_start(w, &failure);
        return -1;
    }
    if (start_app(w, app) < 0)
        return -1;
    if (worker_routes_new(w, &failure) < 0) {
        fail_start(w, &failure);
        return -1;
    }
    if (w->app)
        worker_app_add_descriptors(w->app, &w->descriptors);
    return 0;
}

int worker_live(const struct heritage *heritage, struct worker_app *app, int folder)
{
    struct worker w = { .events = &worker_events, .heritage = heritage, .conf = heritage->conf, .folder = folder };
    struct worker_failure failure;
    if (start_worker(&w, &failure) < 0) {
        fail_start(&w, &failure);
        return failure.status;
    }
    if (start_parts(&w, app) < 0)
        return w.exit_status;
    run_loop(&w);
    free_worker(&w);
    return w.exit_status;
}

int worker_main(const struct heritage *heritage)
{
    return worker_live(heritage, NULL, worker_folder());
}
