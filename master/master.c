/* SPDX-License-Identifier: BSD-3-Clause */
/* master.c: see master.h. The states and what moves between them; workers.c handles one worker at a
 * time.
 *
 * STARTING: any failure to boot ends the service at once: a mistake that an operator makes is told
 * by the exit code, not by a loop. RUNNING: whatever happens to workers, the sockets stay open and
 * workers are replaced. RELOADING: as RUNNING, while reload.c boots the next generation. STOPPING:
 * the sockets are closed here, and the end comes with the last worker.
 */
#include "master/master.h"

#include <config.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/tickets.h"
#include "conf/conf.h"
#include "master/system/apply.h"
#include "master/fleet/certs.h"
#include "master/dev_reload.h"
#include "master/fleet/generation.h"
#include "master/metrics/metrics.h"
#include "master/fleet/reap.h"
#include "master/fleet/recycle.h"
#include "master/fleet/seats.h"
#include "master/fleet/workers.h"

/* The end of the last failure, in one line: what an operator sees first. */
static size_t last_line(const char *error, char *to, size_t size)
{
    size_t n = strlen(error);
    while (n && error[n - 1] == '\n')
        n--;
    const char *newline = memrchr(error, '\n', n);
    const char *line = newline ? newline + 1 : error;
    return log_escape(to, size - 1, line, n - (size_t)(line - error), "");
}

void master_tell_status(struct master *master, const char *assignments)
{
    char why[200] = "";
    if (master->reload.error)
        why[last_line(master->reload.error, why, sizeof(why))] = '\0';
    notify_send(&master->notify, "%sSTATUS=%u of %u workers ready%s%s", assignments,
                slots_ready(&master->slots, master->current), master->current->target,
                *why ? "; the last reload failed: " : "", why);
}

/* Past graceful_timeout: the worker's own end, then SIGKILL and collecting. */
#define STOP_EXTRA_MS 5000

static void tell_status(struct master *master)
{
    if (master->state == MASTER_RUNNING)
        master_tell_status(master, "");
}

void master_started(struct master *master)
{
    if (master->started)
        return;
    master->started = true;
    log_info("ready");
    metrics_follow(master); /* if it had to wait for that */
    upgrade_ready(master);
    control_take_over(master);
    if (master->daemon.on) {
        daemon_detach_stdio();
        daemon_tell_parent(&master->daemon, MASTER_EXIT_OK);
    }
}

void master_worker_ready(struct master *master)
{
    if (master->state == MASTER_STARTING) {
        master->state = MASTER_RUNNING;
        master_started(master);
        master_tell_status(master, "READY=1\n");
        reload_try(master); /* asked for during the start */
    } else {
        tell_status(master);
    }
}

void master_settle(struct master *master, struct generation *generation)
{
    if (generation->n_slots || generation == master->current || generation == master->reload.next)
        return;
    log_debug("generation %u is over", generation->number);
    generation_free(generation);
    master->n_old--;
    reload_try(master);
}

/* Nothing is left to wait for. */
static bool is_over(const struct master *master)
{
    return master->state == MASTER_STOPPING && !slots_alive(&master->slots) && !molds_alive(master) &&
           !upgrade_holds_the_end(master);
}

static void begin_stop(struct master *master, bool quick)
{
    master->state = MASTER_STOPPING;
    master->quick = quick;
    reload_cancel(master);
    upgrade_stop(master, quick);
    evtimer_del(&master->leave_timer);
    /* New connections find nobody once the workers let go too; no file stays for the next server to
     * stumble on. */
    listeners_close(&master->current->listeners);
    workers_stop_all(master, quick);
    uint64_t most = quick ? 0 : master->conf->server.graceful_timeout;
    notify_send(&master->notify, "EXTEND_TIMEOUT_USEC=%" PRIu64, (most + STOP_EXTRA_MS) * 1000);
    if (is_over(master))
        event_base_loopbreak(master->base);
}

void master_boot_failed(struct master *master, enum master_exit why)
{
    if (master->state != MASTER_STARTING || dev_reload_waits(master))
        return;
    log_error("%s: stopping", why == MASTER_EXIT_APP      ? "the application could not be loaded"
                              : why == MASTER_EXIT_SYSTEM ? "no worker could be started"
                              : why == MASTER_EXIT_CONF   ? "the configuration names what cannot be used"
                                                          : "workers failed to boot");
    master->exit_code = why;
    notify_send(&master->notify, "STOPPING=1\nSTATUS=workers failed to boot");
    begin_stop(master, true);
}

static void on_leave_timer(int fd, short what, void *arg)
{
    log_info("server.drain_delay is over: stopping gracefully");
    begin_stop(arg, false);
}

/* Serves on for drain_delay, while those who ask whether it is ready hear that it is not. */
static void begin_leave(struct master *master, uint64_t ms)
{
    struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    master->state = MASTER_LEAVING;
    reload_cancel(master);
    evtimer_add(&master->leave_timer, &tv);
    log_info("accepting for another %g s (server.drain_delay)", (double)ms / 1000.0);
    notify_send(&master->notify, "EXTEND_TIMEOUT_USEC=%" PRIu64, (ms + STOP_EXTRA_MS) * 1000);
}

void master_stop(struct master *master, bool quick)
{
    uint64_t delay = master->conf->server.drain_delay;
    if (master->state == MASTER_STOPPING && master->quick)
        return;
    if (master->state == MASTER_STOPPING) {
        log_info("asked again: stopping now");
        master->quick = true;
        workers_stop_all(master, true);
        return;
    }
    if (master->state == MASTER_LEAVING) {
        log_info("asked again: stopping now");
        begin_stop(master, true);
        return;
    }
    bool others_serve = master->upgrade.state == UPGRADE_BESIDE || master->upgrade.state == UPGRADE_HEIR;
    if (delay && !quick && master->state != MASTER_STARTING && !others_serve)
        begin_leave(master, delay);
    else
        begin_stop(master, quick);
    /* Who hears it may count on the workers having been told. */
    notify_send(&master->notify, "STOPPING=1\nSTATUS=%s", quick ? "stopping" : "stopping gracefully");
}

void master_worker_gone(struct master *master)
{
    tell_status(master);
    if (is_over(master))
        event_base_loopbreak(master->base);
}

void master_scale_to(struct master *master, unsigned workers)
{
    master->current->target = workers;
    log_info("workers: %u", workers);
    seats_follow(master);
    workers_fit(master);
    tell_status(master);
}

void master_scale(struct master *master, int by)
{
    struct generation *current = master->current;
    if (master->state == MASTER_STOPPING)
        return;
    if ((by < 0 && current->target <= 1) || (by > 0 && current->target >= WORKERS_MAX)) {
        log_warning("workers: stays at %u", current->target);
        return;
    }
    master_scale_to(master, current->target + (unsigned)by);
}

void master_pause(struct master *master)
{
    if (master->state != MASTER_RUNNING || master->paused) {
        log_warning("SIGWINCH: only a service that runs, and does not reload, can end its workers");
        return;
    }
    log_info("SIGWINCH: ending the workers; SIGHUP brings new ones");
    master->paused = true;
    workers_end_current(master);
    tell_status(master);
}

int master_reopen_logs(struct master *master)
{
    int rc = log_reopen();
    if (rc < 0)
        log_error("the error log cannot be opened again: %s", strerror(errno));
    else
        log_info("logs opened again");
    apply_log_owner(master->conf, &master->privs);
    workers_tell(master, IPC_REOPEN);
    molds_tell(master, IPC_REOPEN);
    return rc;
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
    log_at(known ? levels[severity] : LOG_LEVEL_ERROR, "libevent: %s", text);
}

/* libevent cannot go on and would exit(1), which is the status of a wrong configuration. */
static void on_libevent_fatal(int error)
{
    _exit(MASTER_EXIT_SYSTEM);
}

static void on_tick(int fd, short what, void *arg)
{
    watchdog_look(arg);
    recycle_look(arg);
    upgrade_look(arg);
    stacks_look(arg);
    nudge_look(arg);
    seats_follow(arg);
    certs_look(arg);
}

static int start_timers(struct master *master)
{
    const struct timeval tick = { .tv_sec = WATCHDOG_TICK_MS / 1000, .tv_usec = WATCHDOG_TICK_MS % 1000 * 1000 };
    master->watchdog.looked_ns = clock_ns();
    evtimer_assign(&master->leave_timer, master->base, on_leave_timer, master);
    event_assign(&master->tick, master->base, -1, EV_PERSIST, on_tick, master);
    return event_add(&master->tick, &tick);
}

static int init(struct master *master)
{
    /* For the workers too: they inherit both. */
    event_set_log_callback(on_libevent_message);
    event_set_fatal_callback(on_libevent_fatal);
    struct event_config *config = event_config_new();
    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
        master->base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    master->scoreboard = scoreboard_new(SLOTS_MAX);
    master->tickets = tickets_new();
    if (!master->base || !master->scoreboard || !master->tickets || slots_init(&master->slots, master) < 0 ||
        signals_init(&master->signals, master) < 0 || start_timers(master) < 0 || upgrade_start(master) < 0 ||
        dev_reload_start(master) < 0) {
        log_critical("out of memory or descriptors: %s", strerror(errno));
        return -1;
    }
    return control_open(master);
}

static void done(struct master *master)
{
    metrics_stop(master);
    stacks_done(master);
    control_close(master);
    slots_done(&master->slots);
    reload_done(&master->reload);
    signals_done(&master->signals);
    if (event_initialized(&master->tick)) {
        event_del(&master->tick);
        evtimer_del(&master->leave_timer);
    }
    upgrade_done(&master->upgrade);
    dev_reload_stop(master);
    scoreboard_free(master->scoreboard);
    tickets_free(master->tickets);
    if (master->base)
        event_base_free(master->base);
    master->scoreboard = NULL;
    master->tickets = NULL;
    master->base = NULL;
}

static void log_banner(const struct master *master)
{
    log_info("tine %s, pid %d, %u worker%s", PACKAGE_VERSION, (int)getpid(), master->current->target,
             master->current->target == 1 ? "" : "s");
    const struct listeners *listeners = &master->current->listeners;
    for (size_t i = 0; i < listeners->n; i++) {
        const struct listener *l = &listeners->v[i];
        if (l->seat)
            continue;
        log_info("%s %s%s%s%s", i < listeners->n_serving ? "listening on" : "metrics and status on", l->text,
                 l->tls ? " tls" : "", l->h2c ? " h2c" : "", l->proxy ? " proxy" : "");
    }
}

enum master_exit master_run(struct master *master)
{
    master->state = MASTER_STARTING;
    master->started_at = time(NULL);
    master->started_ms = clock_ms();
    if (init(master) < 0) {
        done(master);
        return MASTER_EXIT_SYSTEM;
    }
    log_banner(master);
    reap_children(master); /* left to us by an exec, and ended before we listened for SIGCHLD */
    metrics_follow(master);
    workers_fill(master, master->current);
    /* A stop that came before the loop: event_base_loopbreak() has no effect on a loop that starts
     * later. */
    if (!is_over(master) && event_base_dispatch(master->base) < 0) {
        log_critical("the event loop failed: %s", strerror(errno));
        master->exit_code = MASTER_EXIT_SYSTEM;
    }
    done(master);
    log_info("stopped");
    return master->exit_code;
}
