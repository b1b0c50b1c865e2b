/* SPDX-License-Identifier: BSD-3-Clause */
/* service.h: how the service is: what the control socket and the metrics may see of it. They only read; master.c, reload.c
 * and upgrade.c write what is theirs. */
#ifndef TINE_MASTER_SERVICE_H
#define TINE_MASTER_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

enum service_exit {
    SERVICE_EXIT_OK = 0,
    SERVICE_EXIT_CONF = 1, /* usage or configuration */
    SERVICE_EXIT_SYSTEM = 2, /* cannot bind, or a system resource is missing */
    SERVICE_EXIT_BOOT = 3, /* workers failed to boot */
    SERVICE_EXIT_APP = 4, /* the application failed to load */
};

/* The status of a service that could not start for this reason. */
static inline enum service_exit service_exit_of(enum boot_fault fault)
{
    switch (fault) {
    case BOOT_NOT_STARTED:
        return SERVICE_EXIT_SYSTEM;
    case BOOT_CONF:
        return SERVICE_EXIT_CONF;
    case BOOT_APP:
        return SERVICE_EXIT_APP;
    case BOOT_FAILED:
        break;
    }
    return SERVICE_EXIT_BOOT;
}

enum service_state {
    SERVICE_STARTING, /* until a first worker is READY */
    SERVICE_RUNNING,
    SERVICE_RELOADING, /* a new generation boots beside the serving one */
    SERVICE_LEAVING, /* asked to stop; server.drain_delay runs */
    SERVICE_STOPPING, /* the sockets are closed; ends with the last process */
};

/* A binary upgrade runs beside the service's own states. */
enum upgrade_state {
    UPGRADE_ALONE, /* no other binary */
    UPGRADE_BOOTING, /* old one: the new one is not ready yet */
    UPGRADE_BESIDE, /* old one: the new one serves too, and speaks for the service */
    UPGRADE_HEIR, /* new one: the old one is still there */
};

/* Of all reloads so far. By reload.c. */
struct reload_outcome {
    unsigned begun; /* the number of the last one that has begun: 1, 2, ... */
    unsigned done, failed;
    time_t ended_at; /* wall clock of the end of the last one; 0: there was none */
    bool last_failed;
    char *kept; /* keys that the last one has left as they were, since they need a restart, one a line; NULL: none */
    char *error; /* why the last one failed, at most a traceback; NULL: it did not, or memory ran out */
};

#define SERVICE_FAULT 200

struct service {
    struct fleet fleet;
    enum service_state state;
    enum upgrade_state upgrade;
    struct reload_outcome reload;
    char fault
        [SERVICE_FAULT]; /* what went wrong last with a worker, a line, escaped; "": nothing since all were ready */
    uint64_t fault_ms; /* clock_ms() when standard error was told such a thing last; 0: not yet */
    bool started; /* some worker has been READY */
    uint64_t asked_ms; /* clock_ms() of the last request to stop that counted by itself; 0: none */
    time_t started_at; /* wall clock */
    uint64_t started_ms; /* clock_ms() */
};

/* The configuration that serves. */
static inline const struct conf *service_conf(const struct service *service)
{
    return service->fleet.current->conf;
}

#endif
