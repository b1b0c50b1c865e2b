/* SPDX-License-Identifier: BSD-3-Clause */
/* workers.c: see workers.h. Decides whether a death is wanted, a failure to boot, or a crash, and
 * what follows from it. Must never wait for a worker: messages to it are lost when it does not
 * read, and its timer has the last word. */
#include "master/fleet/workers.h"

#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/heritage.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/generation.h"
#include "master/master.h"
#include "master/fleet/mold.h"
#include "master/fleet/reap.h"
#include "master/fleet/recycle.h"
#include "master/fleet/slots.h"
#include "master/fleet/spawn.h"
#include "master/fleet/stacks.h"

#define QUICK_MS 5000       /* from QUIT to SIGKILL */
#define STARTING_MS 1000    /* for one that still loads its application and may not listen */
#define GRACE_MS 2000       /* past graceful_timeout: the worker's own end of it comes first */
#define HASTE_MS 500        /* for requests in flight, when files change in development */
#define DEAF_MS 5000        /* from EOF to SIGKILL, if the process lives on */
#define MESSAGES_AT_ONCE 16 /* of one worker, before the others get their turn */

static bool is_wanted(const struct slot *slot)
{
    const struct master *master = slot->master;
    const struct generation *generation = slot->generation;
    return master->state != MASTER_STOPPING && !slot->leaves &&
           ((generation == master->current && !master->paused) || generation == master->reload.next);
}

static bool is_next(const struct slot *slot)
{
    return slot->generation == slot->master->reload.next;
}

static const struct conf_server *conf_of(const struct slot *slot)
{
    return &slot->generation->conf->server;
}

static void release(struct slot *slot)
{
    struct master *master = slot->master;
    mold_forget(slot);
    master_settle(master, slot_release(slot));
}

static void kill_worker(struct slot *slot)
{
    privs_signal(&slot->master->privs, slot->pid, SIGKILL);
    event_del(&slot->timer);
    slot_set_state(slot, SLOT_KILLED);
}

/* --- birth --- */

static void schedule(struct slot *slot)
{
    unsigned ms = slot->backoff_ms;
    log_info("worker %u starts again in %u.%u s", slot->index + 1, ms / 1000, ms % 1000 / 100);
    slot_arm(slot, ms);
}

/* 0, or -1: it could not be started now; the slot may have been released. */
static int fill(struct slot *slot)
{
    struct master *master = slot->master;
    if (spawn_worker(master, slot) == 0)
        return 0;
    if (master->state == MASTER_STARTING) {
        release(slot);
        master_boot_failed(master, MASTER_EXIT_SYSTEM);
    } else if (is_next(slot)) {
        release(slot);
        reload_fail(master, "a worker could not be started");
    } else {
        slot_backoff(slot, clock_ms());
        schedule(slot);
    }
    return -1;
}

void workers_fill(struct master *master, struct generation *generation)
{
    if (master->state == MASTER_STOPPING || (master->paused && generation == master->current))
        return;
    unsigned target = generation == master->current ? recycle_target(master) : generation->target;
    for (unsigned n = slots_wanted(&master->slots, generation); n < target; n++) {
        struct slot *slot = slots_take(&master->slots, generation);
        if (!slot) {
            log_error("no slot is free for another worker");
            if (generation == master->reload.next)
                reload_fail(master, "no slot is free for another worker");
            return;
        }
        if (fill(slot) < 0)
            return;
    }
}

/* --- timers --- */

static void on_slot_timer(int fd, short what, void *arg)
{
    struct slot *slot = arg;
    switch (slot->state) {
    case SLOT_EMPTY:
        if (is_wanted(slot))
            fill(slot);
        return;
    case SLOT_STARTING:
        if (slot->ipc_fd >= 0) {
            log_error("worker %u (pid %d) was not ready after %.3g s (server.boot_timeout): killing it",
                      slot->index + 1, (int)slot->pid, (double)conf_of(slot)->boot_timeout / 1000.0);
            break;
        }
        /* fall through */
    case SLOT_READY:
        if (slot->hung)
            break;
        log_error("worker %u (pid %d) closed its channel and lives on: killing it", slot->index + 1, (int)slot->pid);
        break;
    case SLOT_DRAINING:
        if (slot->hasty) {
            slot->hasty = false;
            worker_stop(slot, true);
            return;
        }
        log_warning("worker %u (pid %d) did not end in time: killing it", slot->index + 1, (int)slot->pid);
        break;
    case SLOT_KILLED:
        return;
    }
    kill_worker(slot);
}

void slot_arm(struct slot *slot, uint64_t ms)
{
    if (!event_initialized(&slot->timer))
        evtimer_assign(&slot->timer, slot->master->base, on_slot_timer, slot);
    struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    evtimer_add(&slot->timer, &tv);
}

/* --- orders --- */

/* An order to end must arrive: a signal says it where the channel does not. */
static void tell(struct slot *slot, enum ipc_type type)
{
    if (slot->ipc_fd < 0 || ipc_send(slot->ipc_fd, type, NULL, 0) == 0)
        return;
    log_debug("worker %u (pid %d) does not take %s: %m", slot->index + 1, (int)slot->pid, ipc_name(type));
    if (type == IPC_DRAIN || type == IPC_QUIT)
        privs_signal(&slot->master->privs, slot->pid, type == IPC_DRAIN ? SIGTERM : SIGQUIT);
}

void workers_tell(struct master *master, enum ipc_type type)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        tell(&master->slots.v[i], type);
}

void worker_stop(struct slot *slot, bool quick)
{
    if (slot->state == SLOT_EMPTY || slot->state == SLOT_KILLED)
        return;
    if (slot->asked && !quick)
        return;
    bool starting = slot->state == SLOT_STARTING;
    slot->asked = slot->leaves = true;
    if (slot->hung) /* its end is near, and it hears nothing */
        return;
    tell(slot, quick ? IPC_QUIT : IPC_DRAIN);
    if (slot->state != SLOT_DRAINING)
        slot_set_state(slot, SLOT_DRAINING);
    slot->hasty = !starting && !quick && conf_of(slot)->reload && slot->master->state != MASTER_STOPPING;
    slot_arm(slot, starting      ? STARTING_MS
                   : quick       ? QUICK_MS
                   : slot->hasty ? HASTE_MS
                                 : conf_of(slot)->graceful_timeout + GRACE_MS);
}

/* Stops it, or gives it back if it is only due. */
static void let_go(struct slot *slot, bool quick)
{
    if (slot->state == SLOT_EMPTY)
        release(slot);
    else
        worker_stop(slot, quick);
}

void workers_stop_all(struct master *master, bool quick)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (master->slots.v[i].generation)
            let_go(&master->slots.v[i], quick);
    molds_end_all(master);
}

void workers_stop_generation(struct master *master, struct generation *generation, bool quick)
{
    generation->n_slots++; /* stays until the end of the loop */
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (master->slots.v[i].generation == generation)
            let_go(&master->slots.v[i], quick);
    generation->n_slots--;
    mold_end(generation);
    master_settle(master, generation);
}

void workers_end_current(struct master *master)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (master->slots.v[i].generation == master->current)
            let_go(&master->slots.v[i], false);
}

void workers_fit(struct master *master)
{
    struct generation *current = master->current;
    unsigned n = slots_wanted(&master->slots, current);
    for (unsigned i = 0; i < SLOTS_MAX && n > current->target; i++) {
        struct slot *slot = &master->slots.v[i];
        if (slot->generation == current && slot->recycle && !slot->leaves) {
            let_go(slot, false);
            n--;
        }
    }
    for (unsigned i = SLOTS_MAX; i-- > 0 && n > current->target;) {
        struct slot *slot = &master->slots.v[i];
        if (slot->generation == current && !slot->leaves) {
            let_go(slot, false);
            n--;
        }
    }
    workers_fill(master, current);
}

/* --- messages --- */

static void on_ready(struct slot *slot)
{
    if (slot->state != SLOT_STARTING) /* told to stop while it was still starting */
        return;
    slot_set_state(slot, SLOT_READY);
    slot->ready_ms = clock_ms();
    event_del(&slot->timer);
    log_info("worker %u (pid %d) is ready", slot->index + 1, (int)slot->pid);
    if (is_next(slot))
        reload_worker_ready(slot->master);
    else
        master_worker_ready(slot->master);
    recycle_step(slot->master);
}

static void on_failed(struct slot *slot, const struct ipc_msg *msg)
{
    char first[80];
    snprintf(first, sizeof(first), "worker %u (pid %d) failed to start:", slot->index + 1, (int)slot->pid);
    log_block(LOG_LEVEL_ERROR, first, msg->payload, msg->n);
    slot->failed = true;
    if (is_next(slot))
        reload_worker_said(slot->master, msg->payload, msg->n);
}

static void on_need_main(struct slot *slot, const struct ipc_msg *msg)
{
    if (!slot->generation->main_interpreter)
        log_info("the application refuses sub-interpreters (%s): using the main interpreter; "
                 "set [app] interpreter = main to skip the try",
                 msg->payload);
    slot->generation->main_interpreter = true;
}

static void on_draining(struct slot *slot)
{
    struct master *master = slot->master;
    if (slot->state == SLOT_KILLED || (slot->state == SLOT_DRAINING && master->quick))
        return;
    if (slot->state != SLOT_DRAINING)
        slot_set_state(slot, SLOT_DRAINING);
    if (slot->hasty)
        return;
    /* Also for one that we took for STARTING: it had become READY, and has requests. */
    slot_arm(slot, conf_of(slot)->graceful_timeout + GRACE_MS);
    if (!slot->leaves && slot->generation == master->current) {
        slot->leaves = true;
        workers_fill(master, master->current);
    }
}

static void on_message(struct slot *slot, const struct ipc_msg *msg)
{
    switch (msg->type) {
    case IPC_READY:
        on_ready(slot);
        break;
    case IPC_FAILED:
        on_failed(slot, msg);
        break;
    case IPC_NEED_MAIN:
        on_need_main(slot, msg);
        break;
    case IPC_RECYCLE:
        recycle_ask(slot, msg->payload);
        break;
    case IPC_DRAINING:
        on_draining(slot);
        break;
    default:
        log_warning("worker %u (pid %d) sent %s", slot->index + 1, (int)slot->pid, ipc_name(msg->type));
    }
}

/* Reads what is there, at most `most` messages. */
static void read_messages(struct slot *slot, unsigned most)
{
    struct ipc_msg msg;
    while (slot->ipc_fd >= 0 && most--) {
        int got = ipc_recv(slot->ipc_fd, &msg);
        if (got == 0)
            return;
        if (got > 0) {
            on_message(slot, &msg);
            continue;
        }
        /* Normally its SIGCHLD is on the way; a process that cannot be told anything must not stay
         * for ever. */
        event_del(&slot->ipc);
        fd_close(&slot->ipc_fd);
        if (slot->state == SLOT_STARTING || slot->state == SLOT_READY)
            slot_arm(slot, DEAF_MS);
    }
}

void on_slot_ipc(int fd, short what, void *arg)
{
    read_messages(arg, MESSAGES_AT_ONCE);
}

/* --- death --- */

enum death {
    DEATH_ASKED,     /* we told it to stop */
    DEATH_NEED_MAIN, /* wants another life in the main interpreter */
    DEATH_BOOT,      /* never was READY */
    DEATH_CRASH,     /* was READY; we did not ask it to end */
};

static enum death judge(const struct slot *slot, int status)
{
    if (slot->asked)
        return DEATH_ASKED;
    if (slot->ready_ms)
        return DEATH_CRASH;
    bool may_be_main = slot->generation->conf->app.interpreter == CONF_INTERPRETER_AUTO && !slot->main_interpreter;
    if (may_be_main && WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_NEED_MAIN)
        return DEATH_NEED_MAIN;
    return DEATH_BOOT;
}

/* Ended as we wanted it: by itself, by our SIGKILL, or by a signal meant for the whole process
 * group that found it before it had its handlers. */
static bool ended_well(const struct slot *slot, int status)
{
    int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return status == 0 || signo == SIGINT || signo == SIGTERM || signo == SIGQUIT ||
           (slot->state == SLOT_KILLED && signo == SIGKILL);
}

static void log_death(const struct slot *slot, enum death death, int status)
{
    char words[REAP_WORDS];
    reap_words(status, words);
    if (slot->state == SLOT_KILLED)
        words[strcspn(words, ",")] = '\0'; /* who killed it is no guess then */
    bool own_end = slot->state == SLOT_DRAINING && status == 0;
    enum log_level level = death == DEATH_NEED_MAIN                           ? LOG_LEVEL_DEBUG
                           : death == DEATH_ASKED && ended_well(slot, status) ? LOG_LEVEL_INFO
                           : death == DEATH_CRASH && own_end                  ? LOG_LEVEL_INFO
                           : death != DEATH_CRASH && slot->failed             ? LOG_LEVEL_INFO
                                                                              : LOG_LEVEL_ERROR;
    log_at(level, "worker %u (pid %d) %s%s", slot->index + 1, (int)slot->pid, words,
           death == DEATH_BOOT ? " before it was ready" : "");
}

static bool has_too_many(const struct master *master)
{
    return slots_wanted(&master->slots, master->current) > recycle_target(master);
}

/* What follows for its slot, which is EMPTY now. */
static void follow(struct slot *slot, enum death death, int status)
{
    struct master *master = slot->master;
    char words[REAP_WORDS];
    if (death == DEATH_BOOT && master->state == MASTER_STARTING) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        release(slot);
        master_boot_failed(master, code == WORKER_EXIT_APP    ? MASTER_EXIT_APP
                                   : code == WORKER_EXIT_CONF ? MASTER_EXIT_CONF
                                                              : MASTER_EXIT_BOOT);
    } else if (death == DEATH_NEED_MAIN && is_wanted(slot)) {
        slot->generation->main_interpreter = true;
        fill(slot);
    } else if (!is_wanted(slot) || (!is_next(slot) && has_too_many(master))) {
        release(slot); /* or it was being replaced, or is the replacement */
    } else if (is_next(slot)) {
        reap_words(status, words);
        release(slot);
        reload_fail(master, words);
    } else {
        schedule(slot);
    }
}

void worker_gone(struct slot *slot, int status)
{
    struct master *master = slot->master;
    read_messages(slot, UINT32_MAX); /* its last words may still be on the way */
    stacks_gone(slot);
    enum death death = judge(slot, status);
    log_death(slot, death, status);
    master->tally.boot_failures += death == DEATH_BOOT;
    master->tally.crashed += death == DEATH_CRASH && status != 0 && !slot->hung;
    if (death == DEATH_BOOT || death == DEATH_CRASH)
        slot_backoff(slot, clock_ms());
    slot_clear(slot);
    scoreboard_clear(master->scoreboard, slot->index);
    follow(slot, death, status);
    recycle_step(master);
    master_worker_gone(master);
}
