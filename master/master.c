/* SPDX-License-Identifier: BSD-3-Clause */
/* master.c: the life of the master process.
 *
 * STARTING: any failure to boot ends the service at once: a mistake that an operator makes is reported by the exit status,
 * not by a loop. RUNNING: whatever happens to workers, the sockets stay open and workers are replaced. RELOADING: as
 * RUNNING, while reload.c boots the next generation. STOPPING: the sockets are closed, and the end comes with the last
 * process.
 *
 * Children are collected in one loop, and what their ends mean for generations is settled after it, in an event of its
 * own: no reload begins while that loop runs. */
#include "master/master.h"

#include <config.h>
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/version.h"
#include "conf/conf.h"
#include "conf/conf_cli.h"
#include "master/dev_reload.h"
#include "master/fleet/certs.h"
#include "master/fleet/seats.h"
#include "master/fleet/workers.h"
#include "master/master_priv.h"
#include "master/metrics/metrics.h"
#include "master/reload_parts.h"

/* It changes twice a year. Workers do not ask for it themselves: their application may live in another zone. */
static void tell_zone(const struct scoreboard *board)
{
    struct tm tm;
    log_local_time(time(NULL), &tm);
    atomic_store_explicit(&board->common->utc_offset, (int32_t)tm.tm_gmtoff, memory_order_relaxed);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct master *master = arg;
    struct fleet *fleet = &master->service.fleet;
    master_ping_manager(master, watchdog_tick(fleet));
    recycle_tick(fleet);
    if (master->service.state == SERVICE_RUNNING)
        recycle_step(fleet);
    tell_zone(fleet->scoreboard);
    master_ask_for_patience(master);
    upgrade_tick(&master->upgrade);
    stacks_tick(fleet);
    bool look = accept_safety_net_tick(&master->accept_safety_net, &fleet->current->listeners);
    if (seats_tick(fleet) || look)
        workers_tell(fleet, IPC_LOOK);
    if (certs_tick(fleet))
        workers_tell(fleet, IPC_CERTS);
}

static void on_libevent_message(int severity, const char *text)
{
    static const enum log_level levels[] = {
        [EVENT_LOG_DEBUG] = LOG_LEVEL_DEBUG,
        [EVENT_LOG_MSG] = LOG_LEVEL_INFO,
        [EVENT_LOG_WARN] = LOG_LEVEL_WARNING,
        [EVENT_LOG_ERR] = LOG_LEVEL_CRITICAL,
    };
    bool known = severity >= EVENT_LOG_DEBUG && severity <= EVENT_LOG_ERR;
    int error = errno; /* a worker's on_libevent_fatal() looks at it */
    log_at(known ? levels[severity] : LOG_LEVEL_ERROR, "libevent: %s", text);
    errno = error;
}

/* libevent cannot continue and would exit(1), which is the status of a wrong configuration. */
static void on_libevent_fatal(int error)
{
    _exit(SERVICE_EXIT_SYSTEM);
}

static struct event_base *new_base(void)
{
    /* For the workers too: they inherit both. */
    event_set_log_callback(on_libevent_message);
    event_set_fatal_callback(on_libevent_fatal);
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(config);
    if (base && event_base_priority_init(base, SIGNALS_PRIORITIES) < 0) {
        event_base_free(base);
        base = NULL;
    }
    if (config)
        event_config_free(config);
    return base;
}

static int start_timers(struct master *master)
{
    const struct timeval tick = timeval_of_ms(FLEET_TICK_MS);
    evtimer_assign(&master->leave_timer, master->base, master_on_leave_timer, master);
    evtimer_assign(&master->heir_proof, master->base, master_on_heir_proof, master);
    evtimer_assign(&master->settle, master->base, master_on_settle, master);
    event_assign(&master->tick, master->base, -1, EV_PERSIST, on_tick, master);
    return event_add(&master->tick, &tick);
}

static int start_dev_reload(struct master *master)
{
    if (!service_conf(&master->service)->server.reload)
        return 0;
    master->dev_reload = dev_reload_new(&master->service, master_on_files_changed, master);
    if (!master->dev_reload)
        return -1;
    master->service.fleet.current->no_bytecode = dev_reload_is_fresh(master->dev_reload);
    return 0;
}

static int init(struct master *master)
{
    struct fleet *fleet = &master->service.fleet;
    fleet->detached = master->daemon.on;
    master->base = new_base();
    if (!master->base || fleet_init(fleet, master->base, &master_fleet_events, master) < 0 ||
        signals_init(&master->signals, master->base, &master_orders, master) < 0 || start_timers(master) < 0 ||
        upgrade_start(&master->upgrade, &master->notify, master->cli->start_dir, &master_upgrade_events, master) < 0) {
        log_critical("out of memory or descriptors: %s", strerror(errno));
        return -1;
    }
    reload_init(&master->reload, &master->service, master->cli, reload_parts, &master_reload_events, master);
    if (start_dev_reload(master) < 0)
        return -1;
    return control_open(&master->control, &master->service, fleet, &master_orders, master);
}

static void done(struct master *master)
{
    metrics_free(master->metrics);
    master->metrics = NULL;
    control_close(&master->control);
    fleet_done(&master->service.fleet);
    reload_done(&master->reload);
    signals_done(&master->signals);
    if (event_initialized(&master->tick)) {
        event_del(&master->tick);
        event_del(&master->settle);
        evtimer_del(&master->heir_proof);
        evtimer_del(&master->leave_timer);
    }
    upgrade_done(&master->upgrade);
    dev_reload_free(master->dev_reload);
    if (master->base)
        event_base_free(master->base);
    master->base = NULL;
}

static bool is_application(const struct conf_app *app)
{
    return app->module && strcmp(app->module, CONF_BUILTIN_HELLO) != 0;
}

static bool has_application(const struct conf *conf)
{
    bool any = is_application(&conf->app);
    for (size_t i = 0; !any && i < conf->n_mounts; i++)
        any = is_application(&conf->mounts[i].app);
    return any;
}

/* Said once, and not by each worker: a reload cannot change it. */
static void warn_of_root(const struct master *master)
{
    const struct privs *privs = &master->service.fleet.privs;
    if (geteuid() == 0 && (!privs->drop || privs->uid == 0) && has_application(master->service.fleet.current->conf))
        log_warning("the application runs as root: server.user names another user for it");
}

static void log_banner(const struct master *master)
{
    const struct generation *current = master->service.fleet.current;
    log_info("tine %s, pid %d, %u worker%s", TINE_VERSION, (int)getpid(), current->target,
             current->target == 1 ? "" : "s");
    const struct listeners *listeners = &current->listeners;
    for (size_t i = 0; i < listeners->n; i++) {
        const struct listener *l = &listeners->v[i];
        if (l->seat)
            continue;
        log_info("%s %s%s%s%s", i < listeners->n_serving ? "listening on" : "metrics and status on", l->text,
                 l->tls ? " tls" : "", l->h2c ? " h2c" : "", l->proxy ? " proxy" : "");
    }
}

enum service_exit master_run(struct master *master)
{
    struct service *service = &master->service;
    service->started_at = time(NULL);
    service->started_ms = clock_ms();
    if (init(master) < 0) {
        done(master);
        return SERVICE_EXIT_SYSTEM;
    }
    tell_zone(service->fleet.scoreboard);
    log_banner(master);
    warn_of_root(master);
    master_collect_children(master); /* left to us by an exec, and ended before we listened for SIGCHLD */
    metrics_follow(&master->metrics, service);
    workers_fill(&service->fleet, service->fleet.current);
    /* A stop that came before the loop: event_base_loopbreak() has no effect on a loop that starts later. */
    if (!master_has_ended(master) && event_base_dispatch(master->base) < 0) {
        log_critical("the event loop failed: %s", strerror(errno));
        master->exit_code = SERVICE_EXIT_SYSTEM;
    }
    done(master);
    log_info("stopped");
    return master->exit_code;
}
