/* SPDX-License-Identifier: BSD-3-Clause */
/* master.h: the process that runs the service: the states that service.h names and what moves between them. Never blocks,
 * never touches Python or the bytes of a request. Nothing below master/ knows this struct. */
#ifndef TINE_MASTER_MASTER_H
#define TINE_MASTER_MASTER_H

#include <event2/event_struct.h>

#include "master/control/control.h"
#include "master/fleet/accept_safety_net.h"
#include "master/reload.h"
#include "master/service.h"
#include "master/signals.h"
#include "master/system/daemon.h"
#include "master/system/notify.h"
#include "master/upgrade.h"

struct conf_cli;
struct dev_reload;
struct metrics;

struct master {
    /* Set by main() before master_run(). */
    const struct conf_cli *cli;
    struct service service; /* with its first generation, privileges and title */
    struct notify notify;
    struct daemon daemon;
    struct upgrade upgrade;

    /* The master's own. */
    struct event_base *base;
    struct signals signals;
    struct reload reload;
    struct control control;
    struct metrics *metrics; /* NULL: neither a bind nor statsd is configured */
    struct dev_reload *dev_reload; /* NULL: server.reload is false */
    struct accept_safety_net accept_safety_net;
    struct event tick, leave_timer;
    struct event heir_proof; /* the first worker of a new binary is READY: the service has started when this fires */
    uint64_t heir_proof_since_ms; /* clock_ms() of then */
    struct event settle; /* made active when a generation has ended or a reload may begin */
    uint64_t pinged_ns; /* clock_ns() of the last WATCHDOG=1 */
    enum service_exit exit_code;
};

/* From the first fork to the last process collected. */
enum service_exit master_run(struct master *master);

#endif
