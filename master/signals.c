/* SPDX-License-Identifier: BSD-3-Clause */
/* signals.c: handlers run in the event loop, never in signal context. */
#include "master/signals.h"

#include <event2/event.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "master/orders.h"

static void on_term(int signo, const struct orders *orders, void *arg)
{
    log_info("SIGTERM: stopping gracefully");
    orders->stop(arg, false);
}

static void on_quick(int signo, const struct orders *orders, void *arg)
{
    log_info("SIG%s: stopping now", sigabbrev_np(signo));
    orders->stop(arg, true);
}

static void on_child(int signo, const struct orders *orders, void *arg)
{
    orders->child(arg);
}

static void on_more(int signo, const struct orders *orders, void *arg)
{
    orders->scale_by(arg, 1);
}

static void on_less(int signo, const struct orders *orders, void *arg)
{
    orders->scale_by(arg, -1);
}

static void on_reopen(int signo, const struct orders *orders, void *arg)
{
    orders->reopen_logs(arg);
}

/* A terminal sends WINCH to its foreground processes when its window changes: not an order then. */
static void on_window(int signo, const struct orders *orders, void *arg)
{
    if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO) || isatty(STDERR_FILENO)) {
        log_debug("SIGWINCH: from the terminal, ignored");
        return;
    }
    log_info("SIGWINCH: pause");
    orders->pause(arg);
}

static void on_reload(int signo, const struct orders *orders, void *arg)
{
    log_info("SIGHUP: reload");
    orders->reload(arg);
}

static void on_upgrade(int signo, const struct orders *orders, void *arg)
{
    orders->upgrade(arg);
}

static const struct {
    int signo;
    void (*handle)(int signo, const struct orders *orders, void *arg);
} table[] = {
    { SIGTERM, on_term },    { SIGINT, on_quick },    { SIGQUIT, on_quick },  { SIGCHLD, on_child },
    { SIGTTIN, on_more },    { SIGTTOU, on_less },    { SIGUSR1, on_reopen }, { SIGHUP, on_reload },
    { SIGUSR2, on_upgrade }, { SIGWINCH, on_window },
};

_Static_assert(sizeof(table) / sizeof(table[0]) <= SIGNALS_MAX, "struct signals is too small");

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    const struct signals *signals = arg;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].signo == signo)
            table[i].handle((int)signo, signals->orders, signals->arg);
}

int signals_init(struct signals *signals, struct event_base *base, const struct orders *orders, void *arg)
{
    *signals = (struct signals){ .orders = orders, .arg = arg };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct event *e = &signals->event[i];
        if (evsignal_assign(e, base, table[i].signo, on_signal, signals) < 0 ||
            (table[i].signo != SIGCHLD && event_priority_set(e, 0) < 0) || evsignal_add(e, NULL) < 0)
            return -1;
        signals->n++;
    }
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

void signals_done(struct signals *signals)
{
    for (int i = 0; i < signals->n; i++)
        event_del(&signals->event[i]);
    signals->n = 0;
}
