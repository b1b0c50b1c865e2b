/* SPDX-License-Identifier: BSD-3-Clause */
/* master_state.c: the state of the service, and what the service manager is told of it. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fatal.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/master_priv.h"

#define FAULTS_EVERY_MS 5000 /* on standard error */
#define PATIENCE_MS 10000u /* asked for again with each tick of the master */

void master_set_state(struct master *master, enum service_state state)
{
    static const unsigned next[] = {
        [SERVICE_STARTING] = 1u << SERVICE_RUNNING | 1u << SERVICE_STOPPING,
        [SERVICE_RUNNING] = 1u << SERVICE_RELOADING | 1u << SERVICE_LEAVING | 1u << SERVICE_STOPPING,
        [SERVICE_RELOADING] = 1u << SERVICE_RUNNING | 1u << SERVICE_LEAVING | 1u << SERVICE_STOPPING,
        [SERVICE_LEAVING] = 1u << SERVICE_STOPPING,
        [SERVICE_STOPPING] = 0,
    };
    struct service *service = &master->service;
    fatal_unless(next[service->state] & 1u << state);
    service->state = state;
    service->fleet.phase = state == SERVICE_STOPPING ? FLEET_STOPPING : FLEET_SERVING;
}

/* --- the service manager --- */

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

/* With `assignments` before it: "", or lines of their own. */
void master_send_status(const struct master *master, const char *assignments)
{
    const struct fleet *fleet = &master->service.fleet;
    const char *error = master->service.reload.error, *fault = master->service.fault;
    unsigned ready = roll_ready(fleet);
    char why[200] = "";
    if (error)
        why[last_line(error, why, sizeof(why))] = '\0';
    bool ails = *fault && ready < fleet->current->target;
    notify_send(&master->notify, "%sSTATUS=%u of %u workers ready%s%s%s%s", assignments, ready, fleet->current->target,
                ails ? "; the last failure: " : "", ails ? fault : "", *why ? "; the last reload failed: " : "", why);
}

/* Without waiting. A master in the background has none. */
static void tell_stderr(const char *text)
{
    struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (log_fd() != STDERR_FILENO && poll(&p, 1, 0) == 1 && p.revents & POLLOUT)
        dprintf(STDERR_FILENO, "tine: %s\n", text);
}

void master_note_fault(struct master *master, const char *why)
{
    struct service *service = &master->service;
    uint64_t now = clock_ms();
    service->fault[last_line(why, service->fault, sizeof(service->fault))] = '\0';
    if (service->fault_ms && now - service->fault_ms < FAULTS_EVERY_MS)
        return;
    service->fault_ms = now;
    tell_stderr(service->fault);
}

/* Also beyond the time that the unit allows, since boot_timeout limits it: of the generation, or of each worker in turn. */
void master_ask_for_patience(const struct master *master)
{
    if (master->service.state == SERVICE_STARTING || master->service.state == SERVICE_RELOADING)
        notify_send(&master->notify, "EXTEND_TIMEOUT_USEC=%u", PATIENCE_MS * 1000u);
}

void master_update_status(const struct master *master)
{
    if (master->service.state == SERVICE_RUNNING)
        master_send_status(master, "");
}

/* Pings only if at least one worker is healthy, or none is expected to be. */
void master_ping_manager(struct master *master, unsigned healthy)
{
    const struct service *service = &master->service;
    uint64_t now = clock_ns(), every = master->notify.watchdog_us * 1000 / 3;
    bool none_expected =
        service->fleet.paused || service->state == SERVICE_STARTING || service->state == SERVICE_STOPPING;
    if (!every || now - master->pinged_ns < every || (!healthy && !none_expected))
        return;
    master->pinged_ns = now;
    notify_send(&master->notify, "WATCHDOG=1");
}

bool master_has_ended(const struct master *master)
{
    return master->service.state == SERVICE_STOPPING && !fleet_lives(&master->service.fleet) &&
           !upgrade_holds_the_end(&master->upgrade);
}

void master_end_if_over(const struct master *master)
{
    if (master_has_ended(master))
        event_base_loopbreak(master->base);
}
