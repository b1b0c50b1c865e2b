/* SPDX-License-Identifier: BSD-3-Clause */
/* master_orders.c: carries out what the service is told to do (orders.h). */
#include "master/orders.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/seats.h"
#include "master/fleet/workers.h"
#include "master/master_priv.h"

static void order_reload(void *arg)
{
    struct master *master = arg;
    reload_request(&master->reload);
}

static void order_scale_to(void *arg, unsigned workers)
{
    struct master *master = arg;
    struct fleet *fleet = &master->service.fleet;
    fleet->current->target = workers;
    log_info("workers: %u", workers);
    if (seats_tick(fleet))
        workers_tell(fleet, IPC_LOOK);
    workers_fit(fleet);
    master_update_status(master);
}

static void order_scale_by(void *arg, int by)
{
    struct master *master = arg;
    unsigned target = master->service.fleet.current->target;
    if (master->service.state == SERVICE_STOPPING)
        return;
    if ((by < 0 && target <= 1) || (by > 0 && target >= WORKERS_MAX))
        log_warning("workers: stays at %u", target);
    else
        order_scale_to(master, target + (unsigned)by);
}

static void order_pause(void *arg)
{
    struct master *master = arg;
    struct fleet *fleet = &master->service.fleet;
    if (master->service.state != SERVICE_RUNNING || fleet->paused) {
        log_warning("only a service that runs, and does not reload, can end its workers");
        return;
    }
    log_info("ending the workers; a reload, or tinectl resume, brings new ones");
    fleet->paused = true;
    workers_end_current(fleet);
    master_update_status(master);
}

static void order_resume(void *arg)
{
    struct master *master = arg;
    struct fleet *fleet = &master->service.fleet;
    if (!fleet->paused)
        return;
    log_info("starting workers again");
    fleet->paused = false;
    workers_fit(fleet);
    master_update_status(master);
}

static void order_set_log_level(void *arg, int level)
{
    struct master *master = arg;
    log_set_level((enum log_level)level);
    workers_set_log_level(&master->service.fleet, level);
}

static int order_reopen_logs(void *arg)
{
    struct master *master = arg;
    int rc = log_reopen();
    if (rc < 0)
        log_error("the error log cannot be opened again: %s", strerror(errno));
    else
        log_info("log files reopened");
    privs_give_logs(&master->service.fleet.privs, &service_conf(&master->service)->log);
    fleet_tell(&master->service.fleet, IPC_REOPEN);
    return rc;
}

/* Others than our own: inherited by an exec, or orphans when we are process 1 of a container. */
void master_collect_children(struct master *master)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return;
        if (!fleet_collect(&master->service.fleet, pid, status) && !upgrade_child_gone(&master->upgrade, pid, status))
            log_debug("process %d, not a worker, ended", (int)pid);
    }
}

static void order_upgrade(void *arg)
{
    struct master *master = arg;
    master_collect_children(master); /* an earlier new binary may be gone, with its SIGCHLD still to be handled */
    upgrade_request(&master->upgrade);
}

static void order_stop(void *arg, bool quick)
{
    master_stop(arg, quick);
}

static void order_child(void *arg)
{
    master_collect_children(arg);
}

const struct orders master_orders = {
    .stop = order_stop,
    .reload = order_reload,
    .scale_by = order_scale_by,
    .scale_to = order_scale_to,
    .pause = order_pause,
    .resume = order_resume,
    .set_log_level = order_set_log_level,
    .reopen_logs = order_reopen_logs,
    .upgrade = order_upgrade,
    .child = order_child,
};
