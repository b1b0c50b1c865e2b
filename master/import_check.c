/* SPDX-License-Identifier: BSD-3-Clause */
/* import_check.c: see import_check.h. A fleet without a service: nothing listens, so that the one that runs is not
 * disturbed. */
#include "master/import_check.h"

#include <config.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/births.h"
#include "master/fleet/certs.h"
#include "master/fleet/workers.h"

enum { N_SIGNALS = 4 };

struct import_check {
    struct fleet *fleet;
    struct event signals[N_SIGNALS];
    enum service_exit result;
};

static void set_phase(struct fleet *fleet, enum fleet_phase phase)
{
    fleet->phase = phase;
}

static void end(struct import_check *check, enum service_exit result, bool quick)
{
    if (check->fleet->phase == FLEET_STOPPING)
        return;
    check->result = result;
    set_phase(check->fleet, FLEET_STOPPING);
    workers_stop_all(check->fleet, quick);
}

/* --- what the fleet reports --- */

static void print_ready(const struct fleet *fleet, const struct slot *slot)
{
    const struct generation *generation = fleet->current;
    const struct verdict *verdict = &generation->verdict;
    if (!generation->python && !TINE_EMBEDDED) {
        printf("application OK: it needs no Python\n");
        return;
    }
    printf("application OK: it is ready in %s (%s)\n",
           slot->main_interpreter ? "the main interpreter" : "a sub-interpreter", verdict_because(verdict));
    if (generation->python)
        printf("Python: %s\n", generation->python);
}

static void on_ready(void *arg, struct slot *slot)
{
    struct import_check *check = arg;
    if (check->fleet->phase == FLEET_STOPPING)
        return;
    print_ready(check->fleet, slot);
    end(check, fflush(stdout) == 0 ? SERVICE_EXIT_OK : SERVICE_EXIT_SYSTEM, false);
}

static void on_said(void *arg, const struct generation *generation, const char *text, size_t n)
{
}

static void on_boot_failed(void *arg, struct generation *generation, enum boot_fault fault, const char *why)
{
    end(arg, service_exit_of(fault), true);
}

static void on_asks_successor(void *arg, struct slot *slot, const char *why)
{
}

static void on_lost(void *arg, struct generation *generation, const char *why)
{
}

static void on_gone(void *arg)
{
    struct import_check *check = arg;
    if (check->fleet->phase == FLEET_STOPPING && !fleet_lives(check->fleet))
        event_base_loopbreak(check->fleet->base);
}

static void on_emptied(void *arg, struct generation *generation)
{
    on_gone(arg);
}

static void on_fault(void *arg, const char *why)
{
}

static const struct fleet_events events = {
    .ready = on_ready,
    .fault = on_fault,
    .said = on_said,
    .boot_failed = on_boot_failed,
    .asks_successor = on_asks_successor,
    .lost = on_lost,
    .gone = on_gone,
    .emptied = on_emptied,
};

/* --- signals --- */

static void on_child(evutil_socket_t signo, short what, void *arg)
{
    struct import_check *check = arg;
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        fleet_collect(check->fleet, pid, status);
}

static void on_stop(evutil_socket_t signo, short what, void *arg)
{
    end(arg, SERVICE_EXIT_SYSTEM, true);
    on_gone(arg);
}

static int watch_signals(struct import_check *check)
{
    static const int numbers[N_SIGNALS] = { SIGCHLD, SIGTERM, SIGINT, SIGQUIT };
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (evsignal_assign(&check->signals[i], check->fleet->base, numbers[i], i ? on_stop : on_child, check) < 0 ||
            evsignal_add(&check->signals[i], NULL) < 0)
            return -1;
    return 0;
}

/* --- */

/* 0, or an exit status: logged. */
static enum service_exit prepare(struct fleet *fleet)
{
    const struct conf *conf = fleet->current->conf;
    char *why;
    if (log_open("-", (enum log_level)conf->log.loglevel, false) < 0)
        return SERVICE_EXIT_SYSTEM;
    if (conf->server.chdir && chdir(conf->server.chdir) < 0) {
        log_critical("server.chdir %s: %s", conf->server.chdir, strerror(errno));
        return SERVICE_EXIT_CONF;
    }
    if (privs_resolve(&fleet->privs, &conf->server) < 0)
        return SERVICE_EXIT_CONF;
    if (certs_open(&fleet->current->certs, conf, &why) == 0)
        return SERVICE_EXIT_OK;
    log_critical("%s", why ? why : "out of memory");
    free(why);
    return SERVICE_EXIT_CONF;
}

static enum service_exit run(struct import_check *check)
{
    struct fleet *fleet = check->fleet;
    if (watch_signals(check) < 0) {
        log_critical("no event loop");
        return SERVICE_EXIT_SYSTEM;
    }
    workers_fill(fleet, fleet->current);
    if (fleet->phase != FLEET_STOPPING || fleet_lives(fleet))
        event_base_dispatch(fleet->base);
    return check->result;
}

enum service_exit import_check(struct fleet *fleet, struct generation *first)
{
    struct import_check check = { .fleet = fleet, .result = SERVICE_EXIT_SYSTEM };
    fleet->current = first;
    first->target = 1;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    enum service_exit result = prepare(fleet);
    struct event_base *base = result == SERVICE_EXIT_OK ? event_base_new() : NULL;
    if (base && fleet_init(fleet, base, &events, &check) == 0)
        result = run(&check);
    else if (result == SERVICE_EXIT_OK)
        result = SERVICE_EXIT_SYSTEM;
    if (base) {
        fleet_done(fleet);
        event_base_free(base);
    }
    generation_free(first);
    privs_done(&fleet->privs);
    return result;
}
