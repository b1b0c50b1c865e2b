/* SPDX-License-Identifier: BSD-3-Clause */
/* master_stop.c: the end of the service: gracefully, after server.drain_delay, or at once. */
#include <event2/event.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/workers.h"
#include "master/master_priv.h"

/* Past graceful_timeout: the worker's own end, then SIGKILL and collecting. */
#define STOP_EXTRA_MS 5000
/* Requests to stop that follow each other faster than this are one: a wrapper passes on the signal that its process group,
 * this process included, has had already. */
#define SAME_REQUEST_MS 300

static void cancel_reload(struct master *master)
{
    reload_cancel(&master->reload);
    control_reload_cancelled(&master->control);
}

void master_begin_stop(struct master *master, bool quick)
{
    struct fleet *fleet = &master->service.fleet;
    master_set_state(master, SERVICE_STOPPING);
    fleet->quick = quick;
    cancel_reload(master);
    upgrade_stop(&master->upgrade, quick);
    evtimer_del(&master->leave_timer);
    /* New connections are refused once the workers have closed their sockets too; no file stays for the next server to
     * stumble on. */
    listeners_close(&fleet->current->listeners);
    workers_stop_all(fleet, quick);
    uint64_t most = quick ? 0 : service_conf(&master->service)->server.graceful_timeout;
    notify_send(&master->notify, "EXTEND_TIMEOUT_USEC=%" PRIu64, (most + STOP_EXTRA_MS) * 1000);
    master_end_if_over(master);
}

void master_on_leave_timer(evutil_socket_t fd, short what, void *arg)
{
    log_info("server.drain_delay has passed: stopping gracefully");
    master_begin_stop(arg, false);
}

/* Keeps serving for drain_delay, while the readiness probes already say no. */
static void begin_leave(struct master *master, uint64_t ms)
{
    struct timeval tv = timeval_of_ms(ms);
    master_set_state(master, SERVICE_LEAVING);
    cancel_reload(master);
    atomic_store_explicit(&master->service.fleet.scoreboard->common->leaves, 1, memory_order_relaxed);
    evtimer_add(&master->leave_timer, &tv);
    log_info("accepting for another %g s (server.drain_delay)", (double)ms / 1000.0);
    notify_send(&master->notify, "EXTEND_TIMEOUT_USEC=%" PRIu64, (ms + STOP_EXTRA_MS) * 1000);
}

/* Asked again, in a graceful stop. */
static void stop_quickly(struct master *master)
{
    log_info("second stop request: stopping immediately");
    if (master->service.state == SERVICE_LEAVING) {
        master_begin_stop(master, true);
        return;
    }
    master->service.fleet.quick = true;
    workers_stop_all(&master->service.fleet, true);
}

/* Asked again, in a quick stop. */
static void end_at_once(struct master *master)
{
    log_warning("asked to stop once more: killing what is left");
    workers_kill_all(&master->service.fleet);
}

/* A request to stop when that has begun already. */
static void stop_again(struct master *master, bool quick, bool same)
{
    bool stops_quickly = master->service.state == SERVICE_STOPPING && master->service.fleet.quick;
    if (same && (stops_quickly || !quick))
        log_debug("the same request to stop has come twice");
    else if (stops_quickly && quick)
        end_at_once(master);
    else if (!stops_quickly)
        stop_quickly(master);
}

void master_stop(struct master *master, bool quick)
{
    struct service *service = &master->service;
    uint64_t delay = service_conf(service)->server.drain_delay, now = clock_ms();
    bool same = service->asked_ms && now - service->asked_ms < SAME_REQUEST_MS;
    if (!same)
        service->asked_ms = now;
    if (service->state == SERVICE_STOPPING || service->state == SERVICE_LEAVING) {
        stop_again(master, quick, same);
        return;
    }
    bool others_serve = service->upgrade == UPGRADE_BESIDE || service->upgrade == UPGRADE_HEIR;
    if (delay && !quick && service->state != SERVICE_STARTING && !others_serve)
        begin_leave(master, delay);
    else
        master_begin_stop(master, quick);
    /* Whoever receives it may count on the workers having been told. */
    notify_send(&master->notify, "STOPPING=1\nSTATUS=%s", quick ? "stopping" : "stopping gracefully");
}
