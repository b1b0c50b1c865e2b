/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_ipc.c: the orders a worker hears: messages from the master, signals, and the end of the channel when the master is
 * gone.
 *
 * A SIGTERM may have gone to the whole process group, so that the master will order what is to be done, later than it came
 * here by some microseconds. Only if no order has come after a moment was it meant for this worker: a replacement that the
 * master starts for a worker of a service that stops would be for nothing. */
#include <event2/event.h>
#include <signal.h>

#include "common/forked.h"
#include "common/clock.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/stop_signals.h"
#include "common/timers.h"
#include "worker/net/accept.h"
#include "worker/worker.h"

#define TERM_ALONE_MS 200

static void on_message(struct worker *w, const struct ipc_msg *m)
{
    switch (m->type) {
    case IPC_DRAIN:
        w->events->drain(w);
        break;
    case IPC_STOPS:
        w->service_stops = true;
        if (w->app && w->state == WORKER_DRAINING)
            worker_app_drain(w->app, true);
        break;
    case IPC_LOGLEVEL:
        if (m->n == 1 && m->payload[0] >= LOG_LEVEL_DEBUG && m->payload[0] <= LOG_LEVEL_CRITICAL)
            log_set_level((enum log_level)m->payload[0]);
        break;
    case IPC_HOOK:
        if (w->app && m->n == sizeof(struct ipc_hook))
            worker_app_hook(w->app, (const struct ipc_hook *)(const void *)m->payload);
        break;
    case IPC_TASKS:
        if (w->app && w->state >= WORKER_SERVING && w->state <= WORKER_CANCELLING)
            worker_app_write_tasks(w->app, w->heritage->stacks_fd);
        break;
    case IPC_QUIT:
        w->events->quit(w);
        break;
    case IPC_CERTS:
        worker_tls_take(w);
        break;
    case IPC_LOOK:
        if (w->acceptor)
            acceptor_look(w->acceptor);
        break;
    case IPC_REOPEN:
        w->events->reopen_logs(w);
        break;
    default:
        log_error("unexpected message %s from the master", ipc_name(m->type));
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    struct ipc_msg m;
    int r;
    while ((r = ipc_recv(w->heritage->ipc_fd, &m)) > 0)
        on_message(w, &m);
    if (r < 0) {
        log_warning("master is gone: finishing requests in flight, then leaving");
        event_del(&w->ipc_event);
        w->events->drain(w);
    }
}

/* No order has come since the SIGTERM. */
static void on_term_alone(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    w->events->terminated(w);
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
    static const struct timeval moment = { .tv_usec = TERM_ALONE_MS * 1000 };
    struct worker *w = arg;
    if (signal_number == SIGTERM && !evtimer_pending(&w->term_event, NULL))
        timer_add(&w->term_event, &moment);
    else if (signal_number == SIGQUIT)
        w->events->quit(w);
    /* INT and HUP: a terminal sends them to the whole group, the master decides */
}

int worker_ipc_start(struct worker *w)
{
    const sigset_t group = stop_signals_set();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR2, SIG_IGN); /* until Python is there to write its stacks */
    event_assign(&w->ipc_event, w->base, w->heritage->ipc_fd, EV_READ | EV_PERSIST, on_readable, w);
    if (event_add(&w->ipc_event, NULL) < 0)
        return -1;
    evtimer_assign(&w->term_event, w->base, on_term_alone, w);
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        evsignal_assign(&w->signal_events[i], w->base, stop_signals[i], on_signal, w);
        if (evsignal_add(&w->signal_events[i], NULL) < 0)
            return -1;
        forked_own_signal(stop_signals[i]);
    }
    return pthread_sigmask(SIG_UNBLOCK, &group, NULL) == 0 ? 0 : -1;
}

void worker_ipc_stop(struct worker *w)
{
    event_del(&w->ipc_event);
    evtimer_del(&w->term_event);
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        event_del(&w->signal_events[i]);
}
