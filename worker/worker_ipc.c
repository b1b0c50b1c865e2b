/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_ipc.c: the orders a worker hears: messages from the master, signals, and the end of the channel when the master is
 * gone. */
#include <event2/event.h>
#include <signal.h>

#include "common/forked.h"
#include "common/ipc.h"
#include "common/log.h"
#include "worker/net/accept.h"
#include "worker/worker.h"

static void on_message(struct worker *w, const struct ipc_msg *m)
{
    switch (m->type) {
    case IPC_DRAIN:
        w->events->drain(w);
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

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
    struct worker *w = arg;
    if (signal_number == SIGTERM)
        w->events->drain(w);
    else if (signal_number == SIGQUIT)
        w->events->quit(w);
    /* INT and HUP: a terminal sends them to the whole group, the master decides */
}

int worker_ipc_start(struct worker *w)
{
    static const int signals[] = { SIGTERM, SIGQUIT, SIGINT, SIGHUP };
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR2, SIG_IGN); /* until Python is there to write its stacks */
    event_assign(&w->ipc_event, w->base, w->heritage->ipc_fd, EV_READ | EV_PERSIST, on_readable, w);
    if (event_add(&w->ipc_event, NULL) < 0)
        return -1;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        evsignal_assign(&w->signal_events[i], w->base, signals[i], on_signal, w);
        if (evsignal_add(&w->signal_events[i], NULL) < 0)
            return -1;
        forked_own_signal(signals[i]);
    }
    return 0;
}

void worker_ipc_stop(struct worker *w)
{
    event_del(&w->ipc_event);
    for (size_t i = 0; i < sizeof w->signal_events / sizeof *w->signal_events; i++)
        event_del(&w->signal_events[i]);
}
