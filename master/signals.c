/* SPDX-License-Identifier: BSD-3-Clause */
/* signals.c: see signals.h. Handlers run in the event loop, never in signal context. */
#include "master/signals.h"

#include <event2/event.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "master/master.h"
#include "master/fleet/reap.h"

static void on_term(int signo, struct master *master)
{
    log_info("SIGTERM: stopping gracefully");
    master_stop(master, false);
}

static void on_quick(int signo, struct master *master)
{
    log_info("SIG%s: stopping now", sigabbrev_np(signo));
    master_stop(master, true);
}

static void on_child(int signo, struct master *master)
{
    reap_children(master);
}

static void on_more(int signo, struct master *master)
{
    master_scale(master, 1);
}

static void on_less(int signo, struct master *master)
{
    master_scale(master, -1);
}

static void on_reopen(int signo, struct master *master)
{
    master_reopen_logs(master);
}

/* A terminal sends WINCH to its foreground processes when its window changes: not an order then. */
static void on_window(int signo, struct master *master)
{
    if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO) || isatty(STDERR_FILENO))
        log_debug("SIGWINCH: from the terminal, ignored");
    else
        master_pause(master);
}

static void on_reload(int signo, struct master *master)
{
    log_info("SIGHUP: reload");
    reload_request(master);
}

static void on_upgrade(int signo, struct master *master)
{
    upgrade_request(master);
}

static const struct {
    int signo;
    void (*handle)(int signo, struct master *master);
} table[] = {
    { SIGTERM, on_term },    { SIGINT, on_quick },    { SIGQUIT, on_quick },  { SIGCHLD, on_child },
    { SIGTTIN, on_more },    { SIGTTOU, on_less },    { SIGUSR1, on_reopen }, { SIGHUP, on_reload },
    { SIGUSR2, on_upgrade }, { SIGWINCH, on_window },
};

_Static_assert(sizeof(table) / sizeof(table[0]) <= SIGNALS_MAX, "struct signals is too small");

static void on_signal(int signo, short what, void *arg)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].signo == signo)
            table[i].handle(signo, arg);
}

int signals_init(struct signals *signals, struct master *master)
{
    signals->n = 0;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct event *e = &signals->event[i];
        if (evsignal_assign(e, master->base, table[i].signo, on_signal, master) < 0 || evsignal_add(e, NULL) < 0)
            return -1;
        signals->n++;
    }
    return 0;
}

void signals_done(struct signals *signals)
{
    for (int i = 0; i < signals->n; i++)
        event_del(&signals->event[i]);
    signals->n = 0;
}
