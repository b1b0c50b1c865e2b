/* SPDX-License-Identifier: BSD-3-Clause */
/* master_events.c: what happens below, and what follows from it for the service. */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/fleet/workers.h"
#include "master/master_priv.h"
#include "master/metrics/metrics.h"

/* --- the beginning --- */

/* Some worker is READY. Once; later calls do nothing. */
static void start_is_done(struct master *master)
{
    struct service *service = &master->service;
    if (service->started)
        return;
    service->started = true;
    log_info("ready");
    metrics_follow(&master->metrics, service); /* if it had to wait for that */
    upgrade_ready(&master->upgrade);
    control_take_over(&master->control);
    if (master->daemon.on) {
        daemon_detach_stdio();
        daemon_tell_parent(&master->daemon, SERVICE_EXIT_OK);
    }
}

/* Runs without workers, as if they had been paused, until a reload brings some. */
static void give_up_start(struct master *master)
{
    master_set_state(master, SERVICE_RUNNING);
    master->service.fleet.paused = true;
    workers_end_current(&master->service.fleet);
}

/* --- what generations and reloads wait for --- */

static void settle_soon(struct master *master)
{
    event_active(&master->settle, EV_TIMEOUT, 0);
}

void master_on_settle(evutil_socket_t fd, short what, void *arg)
{
    struct master *master = arg;
    reload_settle(&master->reload);
}

/* --- what the fleet reports --- */

static void finish_start(struct master *master)
{
    master_set_state(master, SERVICE_RUNNING);
    start_is_done(master);
    master_send_status(master, "READY=1\n");
    settle_soon(master); /* a reload may have been asked for during the start */
}

void master_on_heir_proof(evutil_socket_t fd, short what, void *arg)
{
    struct master *master = arg;
    const struct fleet *fleet = &master->service.fleet;
    struct timeval again = timeval_of_ms(PROOF_AGAIN_MS);
    if (master->service.state != SERVICE_STARTING || !slots_ready(&fleet->slots, fleet->current))
        return;
    if (watchdog_all_alive(fleet, fleet->current, master->heir_proof_since_ms) ||
        evtimer_add(&master->heir_proof, &again) < 0)
        finish_start(master);
}

/* A new binary replaces an old one that works, so its workers must have stayed READY for a second, as those of a reload;
 * when one ends in it, the start has failed and the old one continues. */
static void start_or_prove(struct master *master)
{
    struct timeval proof = timeval_of_ms(WORKER_PROOF_MS);
    if (evtimer_pending(&master->heir_proof, NULL))
        return;
    master->heir_proof_since_ms = clock_ms();
    /* Without memory for the timer it starts at once. */
    if (master->service.upgrade != UPGRADE_HEIR || evtimer_add(&master->heir_proof, &proof) < 0)
        finish_start(master);
}

static void on_worker_ready(void *arg, struct slot *slot)
{
    struct master *master = arg;
    struct fleet *fleet = &master->service.fleet;
    if (slot->generation == fleet->next) {
        reload_worker_ready(&master->reload);
    } else if (master->service.state == SERVICE_STARTING) {
        start_or_prove(master);
    } else {
        master_update_status(master);
    }
    roll_step(fleet);
    if (master->service.state == SERVICE_RUNNING)
        recycle_step(fleet);
}

static void on_fault(void *arg, const char *why)
{
    master_note_fault(arg, why);
}

static void on_said(void *arg, const struct generation *generation, const char *text, size_t n)
{
    struct master *master = arg;
    if (generation == master->service.fleet.next)
        reload_worker_said(&master->reload, text, n);
}

static void start_failed(struct master *master, enum boot_fault fault)
{
    static const char *const words[] = {
        [BOOT_FAILED] = "workers failed to boot",
        [BOOT_NOT_STARTED] = "no worker could be started",
        [BOOT_CONF] = "the configuration names what cannot be used",
        [BOOT_APP] = "the application could not be loaded",
    };
    if (master->dev_reload && master->service.upgrade != UPGRADE_HEIR) {
        log_info("server.reload: waiting for a file to change");
        give_up_start(master);
        settle_soon(master); /* one may have changed already */
        return;
    }
    log_error("%s: stopping", words[fault]);
    master->exit_code = service_exit_of(fault);
    const char *last = master->service.fault;
    notify_send(&master->notify, "STOPPING=1\nSTATUS=workers failed to boot%s%s", *last ? ": " : "", last);
    /* The workers of a new binary that were READY may have taken requests. */
    master_begin_stop(master, master->service.upgrade != UPGRADE_HEIR);
}

static void on_boot_failed(void *arg, struct generation *generation, enum boot_fault fault, const char *why)
{
    struct master *master = arg;
    if (generation == master->service.fleet.next)
        reload_fail(&master->reload, why);
    else if (master->service.state == SERVICE_STARTING)
        start_failed(master, fault);
}

static void on_asks_successor(void *arg, struct slot *slot, const char *why)
{
    struct master *master = arg;
    recycle_ask(slot, why);
    if (master->service.state == SERVICE_RUNNING)
        recycle_step(&master->service.fleet);
}

static void on_lost(void *arg, struct generation *generation, const char *why)
{
    struct master *master = arg;
    reload_fail(&master->reload, why);
}

static void on_gone(void *arg)
{
    struct master *master = arg;
    roll_step(&master->service.fleet);
    if (master->service.state == SERVICE_RUNNING)
        recycle_step(&master->service.fleet);
    master_update_status(master);
    master_end_if_over(master);
}

static void on_emptied(void *arg, struct generation *generation)
{
    settle_soon(arg);
}

const struct fleet_events master_fleet_events = {
    .ready = on_worker_ready,
    .fault = on_fault,
    .said = on_said,
    .boot_failed = on_boot_failed,
    .asks_successor = on_asks_successor,
    .lost = on_lost,
    .gone = on_gone,
    .emptied = on_emptied,
};

/* --- reloads --- */

static void on_reload_began(void *arg)
{
    struct master *master = arg;
    master_set_state(master, SERVICE_RELOADING);
    notify_send(&master->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading", clock_ns() / 1000);
}

/* RELOADING=1 was sent: the service manager waits for READY=1 whatever the outcome is. */
static void on_reload_ended(void *arg)
{
    struct master *master = arg;
    master_set_state(master, SERVICE_RUNNING);
    if (!master->service.reload.last_failed)
        start_is_done(master);
    master_send_status(master, master->service.started ? "READY=1\n" : "");
    control_reload_ended(&master->control);
    settle_soon(master);
}

static void on_reload_advanced(void *arg)
{
    const struct master *master = arg;
    const struct fleet *fleet = &master->service.fleet;
    notify_send(&master->notify, "STATUS=reloading: %u of %u workers replaced", fleet->roll.proved,
                fleet->next->target);
}

const struct reload_events master_reload_events = {
    .began = on_reload_began,
    .advanced = on_reload_advanced,
    .ended = on_reload_ended,
};

/* In development a reload under way is given up for what is newer. */
void master_on_files_changed(void *arg)
{
    struct master *master = arg;
    if (master->service.state == SERVICE_STARTING)
        give_up_start(master);
    if (master->service.state == SERVICE_RELOADING) {
        log_info("the reload under way is given up for a newer one");
        reload_cancel(&master->reload);
        master_set_state(master, SERVICE_RUNNING);
    }
    reload_request(&master->reload);
}

/* --- binary upgrade --- */

static void on_beside(void *arg)
{
    struct master *master = arg;
    metrics_follow(&master->metrics, &master->service);
}

static void on_alone(void *arg, bool was_ready)
{
    struct master *master = arg;
    struct fleet *fleet = &master->service.fleet;
    char main_pid[40];
    snprintf(main_pid, sizeof(main_pid), "MAINPID=%d\n", (int)getpid());
    if (was_ready && master->service.state == SERVICE_STOPPING)
        notify_send(&master->notify, "%sSTOPPING=1", main_pid);
    else if (was_ready)
        master_send_status(master, main_pid);
    if (was_ready)
        control_take_back(&master->control);
    if (fleet->paused) { /* its workers were ended for the sake of the new one */
        fleet->paused = false;
        workers_fill(fleet, fleet->current);
    }
    metrics_follow(&master->metrics, &master->service);
    on_gone(master);
}

static void on_old_gone(void *arg)
{
    struct master *master = arg;
    enum service_state state = master->service.state;
    if (state != SERVICE_STARTING && state != SERVICE_STOPPING)
        control_take_over(&master->control);
    /* Again: the old one may have died without a word. */
    notify_send(&master->notify, "MAINPID=%d%s", (int)getpid(), state == SERVICE_STOPPING ? "\nSTOPPING=1" : "");
}

const struct upgrade_events master_upgrade_events = {
    .beside = on_beside,
    .alone = on_alone,
    .old_gone = on_old_gone,
};
