/* SPDX-License-Identifier: BSD-3-Clause */
/* told.c: see told.h. */
#include "master/fleet/told.h"

#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

static const struct slot *any_serving(const struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (slot_serves(&fleet->slots.v[i], fleet->current) && fleet->slots.v[i].ipc_fd >= 0)
            return &fleet->slots.v[i];
    return NULL;
}

void told_pass_on(struct fleet *fleet)
{
    struct told *told = &fleet->told;
    const struct slot *slot = told->n ? any_serving(fleet) : NULL;
    if (!slot)
        return;
    for (unsigned i = 0; i < told->n; i++)
        if (ipc_send(slot->ipc_fd, IPC_HOOK, &told->v[i], sizeof told->v[i]) < 0)
            log_debug("worker %u (pid %d) does not take HOOK: %m", slot->index + 1, (int)slot->pid);
    told->n = 0;
}

void told_add(struct fleet *fleet, const struct ipc_hook *hook)
{
    struct told *told = &fleet->told;
    if (!fleet->current || !fleet->current->conf->app.hooks || fleet->phase == FLEET_STOPPING)
        return;
    if (told->n < TOLD_MOST)
        told->v[told->n++] = *hook;
    told_pass_on(fleet);
}
