/* SPDX-License-Identifier: BSD-3-Clause */
/* workers.c: decides whether a death is wanted, a failure to boot, or a crash, and what follows from it. Must never wait
 * for a worker: messages to it are lost when it does not read, and its timer has the last word. */
#include "master/fleet/workers.h"

#include <config.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/heritage.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/births.h"
#include "master/fleet/exit_words.h"
#include "master/fleet/experience.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"
#include "master/fleet/mold.h"
#include "master/fleet/stacks.h"

#define QUICK_MS 5000 /* from QUIT to SIGKILL */
#define SILENT_MS \
    600 /* the same, for one whose event loop has not even seen QUIT: its requests run code that blocks it */
#define STARTING_MS 1000 /* for one that still loads its application and may not listen */
#define GRACE_MS 2000 /* past graceful_timeout: the worker's own end of it comes first */
#define HASTE_MS 500 /* for requests in flight, when files change in development */
#define STACKS_MS 1000 /* for writing its stacks, before SIGKILL */
#define DEAF_MS 5000 /* from EOF to SIGKILL, if the process is still running */
#define MESSAGES_AT_ONCE 16 /* of one worker, before the others get their turn */

#define WORKER_FORMAT "worker %u (pid %d)"
#define WORKER_ARGS(slot) (slot)->index + 1, (int)(slot)->pid

static const struct conf_server *conf_of(const struct slot *slot)
{
    return &slot->generation->conf->server;
}

static void kill_worker(struct slot *slot)
{
    privs_signal(&slot->fleet->privs, slot->pid, SIGKILL);
    event_del(&slot->timer);
    slot_set_state(slot, SLOT_KILLED);
}

/* --- orders --- */

void worker_stop(struct slot *slot, bool quick)
{
    if (slot->state == SLOT_EMPTY || slot->state == SLOT_KILLED)
        return;
    if (!quick && slot->fleet->phase == FLEET_STOPPING && !slot_is_hung(slot))
        worker_tell(slot, IPC_STOPS);
    if (slot_was_asked(slot) && !quick)
        return;
    if (slot_is_hung(slot)) { /* it is killed within a second, and would not hear us */
        slot_set_farewell(slot, SLOT_HUNG_ASKED);
        return;
    }
    bool starting = slot->state == SLOT_STARTING;
    bool hasty = !starting && !quick && conf_of(slot)->reload && slot->fleet->phase != FLEET_STOPPING;
    slot_set_farewell(slot, hasty ? SLOT_HASTY : SLOT_ASKED);
    slot->quit_ms = quick ? clock_ms() : 0;
    worker_tell(slot, quick ? IPC_QUIT : IPC_DRAIN);
    if (slot->state != SLOT_DRAINING)
        slot_set_state(slot, SLOT_DRAINING);
    slot_arm(slot, starting ? STARTING_MS
                   : quick  ? SILENT_MS
                   : hasty  ? HASTE_MS
                            : conf_of(slot)->graceful_timeout + GRACE_MS);
}

/* Stops the worker, or gives the slot back if one is only due. */
static void let_go(struct slot *slot, bool quick)
{
    if (slot->state == SLOT_EMPTY)
        slot_give_back(slot);
    else
        worker_stop(slot, quick);
}

void workers_kill_all(struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (fleet->slots.v[i].state != SLOT_EMPTY && fleet->slots.v[i].state != SLOT_KILLED)
            kill_worker(&fleet->slots.v[i]);
    molds_end_all(fleet);
}

static void let_all_go(struct fleet *fleet, const struct generation *generation, bool quick)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (fleet->slots.v[i].generation == generation && !(generation->lingers && roll_counts_on(&fleet->slots.v[i])))
            let_go(&fleet->slots.v[i], quick);
}

void workers_stop_all(struct fleet *fleet, bool quick)
{
    for (unsigned i = 0; i < fleet->slots.n; i++)
        if (fleet->slots.v[i].generation)
            let_go(&fleet->slots.v[i], quick);
    molds_end_all(fleet);
}

void workers_stop_generation(struct fleet *fleet, struct generation *generation, bool quick)
{
    let_all_go(fleet, generation, quick);
    mold_end(generation);
    if (!generation->n_slots)
        fleet->events->emptied(fleet->arg, generation);
}

void workers_end_current(struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        struct slot *slot = &fleet->slots.v[i];
        if (slot->generation && (slot_is_current(slot) || slot->generation->lingers))
            let_go(slot, false);
    }
}

void workers_fit(struct fleet *fleet)
{
    struct generation *current = fleet->current;
    unsigned n = slots_wanted(&fleet->slots, current), wants = roll_wants_current(fleet);
    for (struct slot *least; n > wants && (least = slots_least_wanted(&fleet->slots, current)); n--)
        let_go(least, false);
    workers_fill(fleet, current);
}

/* --- timers --- */

/* The first time after QUIT: whether the event loop has run since then. */
static bool follows_quit(struct slot *slot)
{
    uint64_t told_ns = slot->quit_ms * 1000000;
    slot->quit_ms = 0;
    return told_ns && atomic_load_explicit(&slot->fleet->scoreboard->slot[slot->index].heartbeat_ns,
                                           memory_order_relaxed) > told_ns;
}

/* Its stack says what hangs: an import, lifespan startup, or a thread that the application does not end. */
static void name_what_holds(struct slot *slot)
{
    bool boots = slot->state == SLOT_STARTING;
    char who[40];
    snprintf(who, sizeof(who), "worker %u", slot->index + 1);
    if (!boots)
        log_warning(WORKER_FORMAT " has not ended in time: the stacks of its threads follow, then it is killed",
                    WORKER_ARGS(slot));
    slot_set_farewell(slot, boots ? SLOT_HUNG : SLOT_HUNG_ASKED);
    if (boots)
        stacks_of_late(slot->fleet, who, slot->pid, conf_of(slot)->boot_timeout);
    else
        stacks_to_log(slot);
    slot_arm(slot, STACKS_MS);
}

static void on_slot_timer(evutil_socket_t fd, short what, void *arg)
{
    struct slot *slot = arg;
    switch (slot->state) {
    case SLOT_EMPTY:
        if (slot_is_wanted(slot))
            slot_fill_in_turn(slot);
        return;
    case SLOT_STARTING:
        if (slot_is_hung(slot))
            break;
        if (slot->ipc_fd >= 0) {
            name_what_holds(slot);
            return;
        }
        /* fall through */
    case SLOT_READY:
        if (!slot_is_hung(slot))
            log_error(WORKER_FORMAT " closed its control channel but is still running: killing it", WORKER_ARGS(slot));
        break;
    case SLOT_DRAINING:
        if (slot->farewell == SLOT_HASTY) {
            worker_stop(slot, true);
            return;
        }
        bool at_once = slot->quit_ms;
        if (follows_quit(slot)) {
            slot_arm(slot, QUICK_MS - SILENT_MS);
            return;
        }
        if (!at_once && slot->ready_ms && slot_was_asked(slot) && !slot_is_hung(slot)) {
            name_what_holds(slot);
            return;
        }
        log_warning(WORKER_FORMAT " did not end in time: killing it", WORKER_ARGS(slot));
        break;
    case SLOT_KILLED:
        return;
    }
    kill_worker(slot);
}

/* --- messages --- */

static bool has_answered(const struct slot *slot)
{
    struct score_sums sums = { 0 };
    score_read(&slot->fleet->scoreboard->slot[slot->index], &sums);
    return sums.requests > 0;
}

/* "worker 3 (pid 77) exited with status 0 0.31 s after it was ready" */
#define LOST_WORDS (EXIT_WORDS + 80)
static void lost_words(const struct slot *slot, const char *what, char to[LOST_WORDS])
{
    snprintf(to, LOST_WORDS, WORKER_FORMAT " %s %.2f s after it was ready", WORKER_ARGS(slot), what,
             (double)(clock_ms() - slot->ready_ms) / 1000.0);
}

static void on_ready(struct slot *slot)
{
    if (slot->state != SLOT_STARTING || slot_is_hung(slot)) /* told to stop while it was still starting, or too late */
        return;
    slot_set_state(slot, SLOT_READY);
    worker_tell_level(slot);
    slot->ready_ms = clock_ms();
    told_pass_on(slot->fleet);
    event_del(&slot->timer);
    log_info(WORKER_FORMAT " is ready", WORKER_ARGS(slot));
    experience_ready(slot);
    slot->fleet->events->ready(slot->fleet->arg, slot);
    births_continue(slot->fleet);
}

/* The worker stops right after READY: the next one would do the same, and gets its own slot after the back-off. */
static void replace_later(struct slot *slot)
{
    struct fleet *fleet = slot->fleet;
    if (fleet->phase == FLEET_STOPPING || fleet->paused ||
        slots_wanted(&fleet->slots, slot->generation) >= fleet_wants(fleet, slot->generation))
        return;
    struct slot *successor = slots_take(&fleet->slots, slot->generation);
    if (!successor)
        return;
    slot_backoff(slot, clock_ms(), has_answered(slot));
    successor->backoff_ms = slot->backoff_ms;
    successor->early = slot->early;
    slot_fill_later(successor);
}

static void on_draining(struct slot *slot)
{
    struct fleet *fleet = slot->fleet;
    if (slot->state == SLOT_KILLED || (slot->state == SLOT_DRAINING && fleet->quick))
        return;
    if (slot->state != SLOT_DRAINING)
        slot_set_state(slot, SLOT_DRAINING);
    if (slot->farewell == SLOT_HASTY)
        return;
    /* Also for one that we took for STARTING: it had become READY, and has requests. */
    slot_arm(slot, conf_of(slot)->graceful_timeout + GRACE_MS);
    if (slot_leaves(slot))
        return;
    slot_set_farewell(slot, SLOT_SELF);
    bool early = slot->ready_ms && clock_ms() - slot->ready_ms < WORKER_PROOF_MS;
    char words[LOST_WORDS];
    lost_words(slot, "began to stop by itself", words);
    if (early)
        log_error("%s", words);
    if (slot_is_current(slot) && early)
        replace_later(slot);
    else if (slot_is_current(slot) || slot->proved)
        births_continue(fleet);
    else if (slot_is_next(slot) && slot->ready_ms)
        fleet->events->lost(fleet->arg, slot->generation, words);
}

/* A worker that ends itself right after READY shows that its generation is no good. */
static void on_terminated(struct slot *slot, const char *why)
{
    char words[LOST_WORDS];
    if (slot_is_next(slot) && slot->ready_ms && !slot->proved && !slot_leaves(slot)) {
        lost_words(slot, "was told to stop", words);
        log_error("%s: %s", words, why);
        slot->fleet->events->lost(slot->fleet->arg, slot->generation, words);
        return;
    }
    slot->fleet->events->asks_successor(slot->fleet->arg, slot, why);
}

static void on_message(struct slot *slot, const struct ipc_msg *msg)
{
    switch (msg->type) {
    case IPC_BECOMES:
    case IPC_HOSTED:
        break;
    case IPC_READY:
        on_ready(slot);
        break;
    case IPC_FAILED:
        experience_failed(slot, msg->payload, msg->n);
        break;
    case IPC_NEED_MAIN:
        experience_refused(slot, msg->payload, msg->n);
        break;
    case IPC_ENVIRONMENT:
        generation_set_environment(slot->generation, msg->payload);
        break;
    case IPC_RECYCLE:
        slot->fleet->events->asks_successor(slot->fleet->arg, slot, msg->payload);
        break;
    case IPC_TERMINATED:
        on_terminated(slot, msg->payload);
        break;
    case IPC_DRAINING:
        on_draining(slot);
        break;
    default:
        log_warning(WORKER_FORMAT " sent %s", WORKER_ARGS(slot), ipc_name(msg->type));
    }
}

/* Reads what is there, at most `most` messages. */
static void read_messages(struct slot *slot, unsigned most)
{
    struct ipc_msg msg;
    while (slot->ipc_fd >= 0 && most--) {
        int got = hosting_recv(&slot->hosting, slot->generation, slot->ipc_fd, &msg);
        if (got == 0)
            return;
        if (got > 0) {
            on_message(slot, &msg);
            continue;
        }
        /* Normally its SIGCHLD is on the way; a process that cannot be given orders must not stay for ever. */
        event_del(&slot->ipc);
        fd_close(&slot->ipc_fd);
        if (slot->state == SLOT_STARTING || slot->state == SLOT_READY)
            slot_arm(slot, DEAF_MS);
    }
}

static void on_slot_ipc(evutil_socket_t fd, short what, void *arg)
{
    read_messages(arg, MESSAGES_AT_ONCE);
}

int workers_init(struct fleet *fleet)
{
    static const struct slot_events events = {
        .timer = on_slot_timer,
        .ipc = on_slot_ipc,
        .stacks = stacks_on_readable,
    };
    return slots_init(&fleet->slots, fleet, &events);
}

/* --- death --- */

enum death {
    DEATH_ASKED, /* we told it to stop */
    DEATH_NEED_MAIN, /* the sub-interpreter is to blame: another life in the main one */
    DEATH_BOOT, /* never was READY */
    DEATH_CRASH, /* was READY; we did not ask it to end */
};

static enum death judge(const struct slot *slot, int status)
{
    if (slot_was_asked(slot))
        return DEATH_ASKED;
    bool was_python = TINE_EMBEDDED || slot->hosting == HOSTING_DONE;
    if (!slot->main_interpreter && was_python &&
        verdict_blames(&slot->generation->verdict, slot->ready_ms, status, slot->refused))
        return DEATH_NEED_MAIN;
    return slot->ready_ms ? DEATH_CRASH : DEATH_BOOT;
}

/* Ended as we wanted it: by itself, by our SIGKILL, or by a signal meant for the whole process group that found it before
 * it had its handlers. */
static bool ended_well(const struct slot *slot, int status)
{
    int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return status == 0 || signo == SIGINT || signo == SIGTERM || signo == SIGQUIT ||
           (slot->state == SLOT_KILLED && signo == SIGKILL);
}

/* It was READY, and we did not ask it to end, whatever follows. */
static bool is_crash(const struct slot *slot, enum death death)
{
    return death == DEATH_CRASH || (death == DEATH_NEED_MAIN && slot->ready_ms);
}

static bool was_early(const struct slot *slot, enum death death)
{
    return is_crash(slot, death) && clock_ms() - slot->ready_ms < WORKER_PROOF_MS;
}

static void log_death(const struct slot *slot, enum death death, int status, const char *words)
{
    char lost[LOST_WORDS];
    bool early = was_early(slot, death);
    bool own_end = slot->state == SLOT_DRAINING && status == 0 && !early;
    enum log_level level = death == DEATH_NEED_MAIN && !slot->ready_ms        ? LOG_LEVEL_DEBUG
                           : death == DEATH_ASKED && ended_well(slot, status) ? LOG_LEVEL_INFO
                           : death == DEATH_CRASH && own_end                  ? LOG_LEVEL_INFO
                           : !is_crash(slot, death) && slot->failure_logged   ? LOG_LEVEL_INFO
                                                                              : LOG_LEVEL_ERROR;
    lost_words(slot, words, lost);
    char *doubt = death == DEATH_BOOT && slot->hosting == HOSTING_AWAY && !slot->failure_logged
                      ? generation_doubt(slot->generation)
                      : NULL;
    char *text = NULL;
    if (early || asprintf(&text, WORKER_FORMAT " %s%s%s%s", WORKER_ARGS(slot), words,
                          death == DEATH_BOOT ? " before it was ready" : "", doubt ? ": " : "", doubt ? doubt : "") < 0)
        text = NULL;
    log_at(level, "%s", text ? text : lost);
    if (level == LOG_LEVEL_ERROR)
        slot->fleet->events->fault(slot->fleet->arg, text ? text : lost);
    free(text);
    if (doubt)
        slot->fleet->events->said(slot->fleet->arg, slot->generation, doubt, strlen(doubt));
    free(doubt);
}

static void count_death(const struct slot *slot, enum death death, int status)
{
    struct counters *counters = &slot->fleet->counters;
    counters->boot_failures += death == DEATH_BOOT;
    counters->crashed += is_crash(slot, death) && status != 0 && !slot_is_hung(slot);
    counters->early += was_early(slot, death);
}

/* What follows for its slot, which is EMPTY now. */
static void after_worker(struct slot *slot, enum death death, int status, const char *why)
{
    struct fleet *fleet = slot->fleet;
    struct generation *generation = slot->generation;
    bool on_trial = slot_is_on_trial(slot);
    if (death == DEATH_NEED_MAIN && slot_is_wanted(slot)) {
        slot_fill(slot);
    } else if ((death == DEATH_BOOT && on_trial) || (death == DEATH_CRASH && fleet->phase == FLEET_BOOTING)) {
        slot_give_back(slot);
        fleet->events->boot_failed(fleet->arg, generation, boot_fault_of(status), why);
    } else if (death == DEATH_CRASH && slot_is_next(slot) && !slot->proved) {
        slot_give_back(slot);
        fleet->events->lost(fleet->arg, generation, why);
    } else if (!slot_is_wanted(slot) || (slot_is_current(slot) && fleet_has_too_many(fleet))) {
        slot_give_back(slot); /* or it was being replaced, or is the replacement */
    } else {
        slot_fill_later(slot);
    }
}

void worker_gone(struct slot *slot, int status)
{
    struct fleet *fleet = slot->fleet;
    char words[EXIT_WORDS], lost[LOST_WORDS];
    read_messages(slot, UINT32_MAX); /* its last words may still be on the way */
    stacks_gone(slot);
    exit_words(status, slot->state == SLOT_KILLED, words);
    enum death death = judge(slot, status);
    experience_ended(slot, death == DEATH_NEED_MAIN, death == DEATH_BOOT, words);
    log_death(slot, death, status, words);
    count_death(slot, death, status);
    if (death == DEATH_BOOT || death == DEATH_CRASH)
        slot_backoff(slot, clock_ms(), has_answered(slot));
    lost_words(slot, words, lost);
    const struct ipc_hook end = { IPC_HOOK_CHILD_EXIT, slot->index + 1, slot->pid };
    slot_clear(slot);
    told_add(fleet, &end);
    scoreboard_clear(fleet->scoreboard, slot->index);
    limits_clear(fleet->limits, slot->index);
    after_worker(slot, death, status, death == DEATH_CRASH ? lost : words);
    births_continue(fleet);
    fleet->events->gone(fleet->arg);
}
