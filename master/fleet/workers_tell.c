/* SPDX-License-Identifier: BSD-3-Clause */
/* workers_tell.c: messages to workers. One that does not read them misses all but those to end. */
#include <event2/event.h>
#include <signal.h>
#include <sys/socket.h>

#include "common/ipc.h"
#include "common/log.h"
#include "master/fleet/fleet.h"
#include "master/fleet/workers.h"

#define WORKER_FORMAT "worker %u (pid %d)"
#define WORKER_ARGS(slot) (slot)->index + 1, (int)(slot)->pid

void worker_tell(struct slot *slot, enum ipc_type type)
{
    if (slot->ipc_fd < 0 || ipc_send(slot->ipc_fd, type, NULL, 0) == 0)
        return;
    log_debug(WORKER_FORMAT " does not take %s: %m", WORKER_ARGS(slot), ipc_name(type));
    if (type == IPC_DRAIN)
        shutdown(slot->ipc_fd, SHUT_WR);
    else if (type == IPC_QUIT)
        privs_signal(&slot->fleet->privs, slot->pid, SIGQUIT);
}

static void tell_level(const struct slot *slot, enum log_level level)
{
    const char byte = (char)level;
    if (slot->ipc_fd >= 0 && ipc_send(slot->ipc_fd, IPC_LOGLEVEL, &byte, 1) < 0)
        log_debug(WORKER_FORMAT " does not take a level: %m", WORKER_ARGS(slot));
}

void worker_tell_level(const struct slot *slot)
{
    if (slot->fleet->has_level)
        tell_level(slot, log_level());
}

void workers_set_log_level(struct fleet *fleet, int level)
{
    fleet->has_level = true;
    for (unsigned i = 0; i < fleet->slots.n; i++)
        tell_level(&fleet->slots.v[i], (enum log_level)level);
}

void workers_tell(struct fleet *fleet, enum ipc_type type)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        worker_tell(&fleet->slots.v[i], type);
}
