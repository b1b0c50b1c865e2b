/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws_loop.c: libwebsockets' context on our event loop. It knows libuv but not libevent, so a libuv loop that no thread
 * ever waits in is pumped when its descriptor is readable, its time has come, or we have called libwebsockets. What a
 * pump costs depends on how many sockets are ready, never on how many there are. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/forked.h"
#include "common/log.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/ws/ws_lws_priv.h"

#define ROUNDS 3 /* of libuv in one pump */
#define LEAST_FDS 65536u /* libwebsockets clears 16 bytes for every possible descriptor */
#define CLOSING_ROUNDS 1000
#define WAIT_MS 50 /* until those are looked at again whose 101 the socket did not take */

/* --- the pump --- */

static void close_doomed(struct wsl_worker *w)
{
    struct wsl_lane *lane;
    while ((lane = TAILQ_FIRST(&w->doomed))) {
        TAILQ_REMOVE(&w->doomed, lane, entry);
        lane->is_doomed = false;
        if (lane->wsi && lane->state == WSL_OPEN)
            lws_set_timeout(lane->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
    }
}

/* One round of libuv. Milliseconds until the next is needed; -1: only when something happens. */
static int round_of_uv(struct wsl_worker *w)
{
    w->dirty = false;
    uv_run(&w->uv, UV_RUN_NOWAIT);
    int ms = uv_backend_timeout(&w->uv);
    /* Bytes that it has read already are forced through only once per event: without another one they would stay. */
    if (ms && !lws_service_adjust_timeout(w->context, 1, 0)) {
        lws_cancel_service(w->context);
        return 0;
    }
    return w->dirty || !TAILQ_EMPTY(&w->doomed) ? 0 : ms;
}

static void pump(evutil_socket_t fd, short what, void *arg)
{
    struct wsl_worker *w = arg;
    int ms = 0;
    if (w->in_pump)
        return;
    w->in_pump = true;
    bool some_wait = wsl_adopt_waiting(w);
    for (int i = 0; i < ROUNDS && !ms; i++) {
        close_doomed(w);
        ms = round_of_uv(w);
    }
    w->in_pump = false;
    if (some_wait && (ms < 0 || ms > WAIT_MS))
        ms = WAIT_MS;
    if (ms > 0) {
        struct timeval after = timeval_of_ms((uint64_t)ms);
        timer_add(&w->timer, &after);
    } else if (ms < 0) {
        evtimer_del(&w->timer);
    } else {
        event_active(&w->again, EV_TIMEOUT, 0);
    }
}

/* --- start and stop --- */

static void log_line(int level, const char *line)
{
    log_error("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

/* libwebsockets takes the limit of descriptors for the number that it must have room for. */
static rlim_t lower_limit(const struct wsl_worker *w, struct rlimit *old)
{
    rlim_t enough = (rlim_t)w->net->conf->server.worker_connections * 2;
    if (enough < LEAST_FDS)
        enough = LEAST_FDS;
    if (getrlimit(RLIMIT_NOFILE, old) < 0 || old->rlim_cur <= enough)
        return old->rlim_cur;
    struct rlimit lower = { .rlim_cur = enough, .rlim_max = old->rlim_max };
    return setrlimit(RLIMIT_NOFILE, &lower) < 0 ? old->rlim_cur : enough;
}

static int make_context(struct wsl_worker *w)
{
    void *loops[1] = { &w->uv };
    static const lws_retry_bo_t no_pings; /* its timers would be one per connection */
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS |
                   LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .user = w,
        .pt_serv_buf_size = WSL_READ_SIZE * 2,
        .max_http_header_data = 1024,
        .protocols = wsl_protocols,
        .extensions = wsl_extensions,
        .retry_and_idle_policy = &no_pings,
        .foreign_loops = loops,
        .pcontext = &w->context,
    };
    struct rlimit old = { .rlim_cur = 0 };
    rlim_t limit = lower_limit(w, &old);
    lws_set_log_level(LLL_ERR, log_line);
    w->context = lws_create_context(&info);
    if (limit < old.rlim_cur)
        setrlimit(RLIMIT_NOFILE, &old);
    w->max_fds = limit > INT32_MAX ? INT32_MAX : (int)limit;
    if (w->context)
        w->vhost = lws_create_vhost(w->context, &info);
    /* From now on what it has to say is about peers, and it says something at every adoption. */
    lws_set_log_level(0, NULL);
    return w->vhost ? 0 : -1;
}

static void close_handles(struct wsl_worker *w)
{
    for (int i = 0; i < CLOSING_ROUNDS && uv_run(&w->uv, UV_RUN_NOWAIT); i++)
        ;
}

/* Handles of libuv are closed by its loop, and libwebsockets sets w->context to NULL when nothing is left of it: after the
 * last handle, or when it is told once more. */
static void close_uv(struct wsl_worker *w)
{
    forked_disown(uv_backend_fd(&w->uv));
    close_handles(w);
    if (w->context) {
        lws_context_destroy(w->context);
        close_handles(w);
    }
    if (uv_loop_close(&w->uv) != 0)
        log_debug("libwebsockets left handles of libuv behind");
}

void *wsl_start(struct net *net)
{
    struct wsl_worker *w = calloc(1, sizeof *w);
    if (!w || uv_loop_init(&w->uv) != 0) {
        log_error("no memory for libwebsockets");
        free(w);
        return NULL;
    }
    w->net = net;
    TAILQ_INIT(&w->waiting);
    TAILQ_INIT(&w->doomed);
    event_assign(&w->uv_ready, net->base, uv_backend_fd(&w->uv), EV_READ | EV_PERSIST, pump, w);
    event_assign(&w->again, net->base, -1, 0, pump, w);
    evtimer_assign(&w->timer, net->base, pump, w);
    forked_own(uv_backend_fd(&w->uv));
    if (make_context(w) < 0 || event_add(&w->uv_ready, NULL) < 0) {
        log_error("libwebsockets cannot be used: is its plug-in for libuv (libwebsockets-evlib-uv) installed?");
        wsl_stop(w);
        return NULL;
    }
    pump(-1, 0, w);
    return w;
}

void wsl_stop(void *shared)
{
    struct wsl_worker *w = shared;
    event_del(&w->uv_ready);
    event_del(&w->again);
    event_del(&w->timer);
    w->in_pump = true; /* wsl_wake() does nothing any more */
    if (w->context) {
        close_doomed(w);
        lws_context_destroy(w->context);
    }
    close_uv(w);
    free(w);
}
