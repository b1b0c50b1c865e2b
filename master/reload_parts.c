/* SPDX-License-Identifier: BSD-3-Clause */
/* reload_parts.c: what each part does to get ready, to change over and to go back. */
#include "master/reload_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/buf.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/control/control.h"
#include "master/fleet/certs.h"
#include "master/fleet/fleet.h"
#include "master/fleet/seats.h"
#include "master/fleet/workers.h"
#include "master/listen/listen.h"
#include "master/master.h"
#include "master/metrics/metrics.h"
#include "master/reload_part.h"
#include "master/system/error_log.h"

/* Takes what opening it has logged. */
static int cannot_open(const char *what, struct buf *logged, char **ret_why)
{
    struct span text = buf_span(logged);
    if (asprintf(ret_why, "%s of the new configuration cannot be opened%s%.*s", what, text.n ? ":\n" : "", (int)text.n,
                 text.n ? text.p : "") < 0)
        *ret_why = NULL;
    buf_release(logged);
    return -1;
}

/* --- the sockets: those of the current generation and new ones --- */

static int prepare_listeners(void *arg, struct generation *next, char **ret_why)
{
    const struct fleet *fleet = &((struct master *)arg)->service.fleet;
    struct listen_passed none = { 0 };
    struct buf logged = { 0 };
    log_note_errors(&logged);
    int rc = listeners_open(&next->listeners, &fleet->current->listeners, next->conf, &fleet->privs, &none);
    log_note_errors(NULL);
    return rc < 0 ? cannot_open("a bind", &logged, ret_why) : 0;
}

static void commit_listeners(void *arg, struct generation *old, struct generation *now)
{
    listeners_replace(&old->listeners, &now->listeners);
}

static void roll_back_listeners(void *arg, struct generation *next)
{
    listeners_close(&next->listeners);
}

/* --- the control socket --- */

static int prepare_control(void *arg, struct generation *next, char **ret_why)
{
    struct master *master = arg;
    struct buf logged = { 0 };
    log_note_errors(&logged);
    int rc = control_prepare(&master->control, next->conf);
    log_note_errors(NULL);
    return rc < 0 ? cannot_open("control.socket", &logged, ret_why) : 0;
}

static void commit_control(void *arg, struct generation *old, struct generation *now)
{
    control_commit(&((struct master *)arg)->control);
}

static void roll_back_control(void *arg, struct generation *next)
{
    control_rollback(&((struct master *)arg)->control);
}

/* --- certificates: the generation's own, freed with it --- */

static int prepare_certs(void *arg, struct generation *next, char **ret_why)
{
    if (certs_open(&next->certs, next->conf, ret_why) == 0)
        return 0;
    log_error("reload: %s", *ret_why ? *ret_why : "out of memory");
    return -1;
}

/* --- the process --- */

/* Connections need descriptors, and the soft limit is 1024 on most systems. */
static void raise_limit(const struct conf_server *conf)
{
    const rlim_t others = 256; /* files and sockets of the application, roughly */
    struct rlimit limit;
    rlim_t want = conf->worker_connections + others;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
        return;
    if (limit.rlim_max < want)
        log_warning("server.worker_connections = %u needs more descriptors than the limit of %llu (ulimit -Hn)",
                    conf->worker_connections, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void set_title(const struct master *master)
{
    const struct conf *conf = service_conf(&master->service);
    const struct proctitle *title = &master->service.fleet.title;
    if (conf->server.proc_name)
        proctitle_set(title, "%s: master", conf->server.proc_name);
    else
        proctitle_set(title, "tine: master [%s]", conf_app_name(conf));
}

static int prepare_process(void *arg, struct generation *next, char **ret_why)
{
    const struct master *master = arg;
    raise_limit(&next->conf->server);
    privs_give_logs(&master->service.fleet.privs, &next->conf->log);
    next->no_bytecode = master->dev_reload != NULL; /* what was just saved may change again within the second */
    return 0;
}

static void commit_process(void *arg, struct generation *old, struct generation *now)
{
    const struct conf_log *before = &old->conf->log;
    if (!error_log_is_same(before, &now->conf->log) && error_log_open(&now->conf->log) < 0)
        log_error("the error log stays %s", before->errorlog);
    struct fleet *fleet = &((struct master *)arg)->service.fleet;
    if (fleet->has_level) { /* tinectl loglevel */
        log_set_level((enum log_level)now->conf->log.loglevel);
        workers_set_log_level(fleet, now->conf->log.loglevel);
        fleet->has_level = false;
    }
    set_title(arg);
}

void reload_parts_adopt(struct master *master)
{
    const struct conf *conf = service_conf(&master->service);
    privs_give_logs(&master->service.fleet.privs, &conf->log);
    raise_limit(&conf->server);
    set_title(master);
}

/* --- who follows --- */

static void commit_seats(void *arg, struct generation *old, struct generation *now)
{
    struct fleet *fleet = &((struct master *)arg)->service.fleet;
    if (seats_tick(fleet))
        workers_tell(fleet, IPC_LOOK);
}

static void commit_metrics(void *arg, struct generation *old, struct generation *now)
{
    struct master *master = arg;
    metrics_follow(&master->metrics, &master->service);
}

const struct reload_part reload_parts[] = {
    { .name = "process", .prepare = prepare_process, .commit = commit_process },
    { .name = "listeners", .prepare = prepare_listeners, .commit = commit_listeners, .rollback = roll_back_listeners },
    { .name = "control", .prepare = prepare_control, .commit = commit_control, .rollback = roll_back_control },
    { .name = "certs", .prepare = prepare_certs },
    { .name = "seats", .commit = commit_seats },
    { .name = "metrics", .commit = commit_metrics },
    { .name = NULL },
};
