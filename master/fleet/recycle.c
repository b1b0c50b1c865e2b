/* SPDX-License-Identifier: BSD-3-Clause */
/* recycle.c: see recycle.h. Keeps no state but the marks on the slots: which step is due follows
 * from how many workers are wanted, alive and marked, so a death or a reload at any moment leaves
 * nothing to be put right. */
#include "master/fleet/recycle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/generation.h"
#include "master/master.h"
#include "master/fleet/workers.h"

static bool serves(const struct slot *slot)
{
    return slot->generation == slot->master->current && slot->state == SLOT_READY && !slot->leaves;
}

static struct slot *first_marked(const struct master *master)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (master->slots.v[i].recycle && serves(&master->slots.v[i]))
            return &master->slots.v[i];
    return NULL;
}

void recycle_ask(struct slot *slot, const char *why)
{
    if (slot->recycle || !serves(slot))
        return;
    slot->recycle = true;
    slot->master->tally.recycled++;
    log_info("worker %u (pid %d) is to be replaced: %s", slot->index + 1, (int)slot->pid, why);
    recycle_step(slot->master);
}

unsigned recycle_target(const struct master *master)
{
    return master->current->target + (first_marked(master) != NULL);
}

void recycle_step(struct master *master)
{
    struct generation *current = master->current;
    if (master->state != MASTER_RUNNING)
        return;
    struct slot *slot = first_marked(master);
    if (!slot)
        return;
    if (slots_ready(&master->slots, current) > current->target)
        worker_stop(slot, false);
    else
        workers_fill(master, current);
}

/* Resident bytes; 0: unknown. */
static uint64_t memory_of(pid_t pid)
{
    char path[32], text[128];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    uint64_t pages = 0;
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes no number out of range
    return sscanf(text, "%*u %" SCNu64, &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void recycle_look(struct master *master)
{
    const struct conf_server *conf = &master->conf->server;
    if (!conf->max_worker_lifetime && !conf->max_worker_memory)
        return;
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot *slot = &master->slots.v[i];
        if (slot->recycle || !serves(slot))
            continue;
        uint64_t memory = conf->max_worker_memory ? memory_of(slot->pid) : 0;
        char why[96] = "";
        if (conf->max_worker_lifetime && now - slot->ready_ms >= conf->max_worker_lifetime)
            snprintf(why, sizeof(why), "server.max_worker_lifetime is over");
        else if (memory > conf->max_worker_memory)
            snprintf(why, sizeof(why), "it has %" PRIu64 " MB (server.max_worker_memory)", memory >> 20);
        if (*why)
            recycle_ask(slot, why);
    }
    recycle_step(master);
}
