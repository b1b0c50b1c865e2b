/* workers.c: see workers.h. Decides whether a death is wanted, a failure to boot, or a crash, and
 * what follows from it. Must never wait for a worker: messages to it are lost when it does not
 * read, and its timer has the last word. */
#include "master/workers.h"

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
#include "master/master.h"
#include "master/reap.h"
#include "master/slots.h"
#include "master/spawn.h"

#define QUICK_MS 5000          /* from QUIT to SIGKILL */
#define QUICK_STARTING_MS 1000 /* for one that still loads its application and may not listen */
#define GRACE_MS 2000          /* past graceful_timeout: the worker's own end of it comes first */
#define DEAF_MS 5000           /* from EOF to SIGKILL, if the process lives on */
#define MESSAGES_AT_ONCE 16    /* of one worker, before the others get their turn */

static bool is_wanted(const struct slot *slot)
{
    return slot->master->state != MASTER_STOPPING && slot->index < slot->master->target;
}

static void kill_worker(struct slot *slot)
{
    kill(slot->pid, SIGKILL);
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

static void fill(struct slot *slot)
{
    if (spawn_worker(slot->master, slot) == 0)
        return;
    if (slot->master->state == MASTER_STARTING) {
        master_boot_failed(slot->master, MASTER_EXIT_SYSTEM);
    } else {
        slot_backoff(slot, clock_ms());
        schedule(slot);
    }
}

void workers_fill(struct master *master)
{
    for (unsigned i = 0; i < master->target && master->state != MASTER_STOPPING; i++) {
        struct slot *slot = &master->slots.v[i];
        bool waits = event_initialized(&slot->timer) && evtimer_pending(&slot->timer, NULL);
        if (slot->state == SLOT_EMPTY && !waits)
            fill(slot);
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
            log_error(
                "worker %u (pid %d) was not ready after %.3g s (server.boot_timeout): killing it",
                slot->index + 1, (int)slot->pid,
                (double)slot->master->conf->server.boot_timeout / 1000.0);
            break;
        }
        /* fall through */
    case SLOT_READY:
        log_error("worker %u (pid %d) closed its channel and lives on: killing it", slot->index + 1,
                  (int)slot->pid);
        break;
    case SLOT_DRAINING:
        log_warning("worker %u (pid %d) did not end in time: killing it", slot->index + 1,
                    (int)slot->pid);
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
    struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
                          .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    evtimer_add(&slot->timer, &tv);
}

/* --- orders --- */

static void tell(struct slot *slot, enum ipc_type type)
{
    if (slot->ipc_fd >= 0 && ipc_send(slot->ipc_fd, type, NULL, 0) < 0)
        log_debug("worker %u (pid %d) does not take %s: %m", slot->index + 1, (int)slot->pid,
                  ipc_name(type));
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
    slot->asked = true;
    tell(slot, quick ? IPC_QUIT : IPC_DRAIN);
    if (slot->state != SLOT_DRAINING)
        slot_set_state(slot, SLOT_DRAINING);
    slot_arm(slot, !quick     ? slot->master->conf->server.graceful_timeout + GRACE_MS
                   : starting ? QUICK_STARTING_MS
                              : QUICK_MS);
}

void workers_stop_all(struct master *master, bool quick)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot *slot = &master->slots.v[i];
        if (slot->state == SLOT_EMPTY && event_initialized(&slot->timer))
            event_del(&slot->timer);
        worker_stop(slot, quick);
    }
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
    master_worker_ready(slot->master);
}

static void on_failed(struct slot *slot, const struct ipc_msg *msg)
{
    char first[80];
    snprintf(first, sizeof(first), "worker %u (pid %d) failed to start:", slot->index + 1,
             (int)slot->pid);
    log_block(LOG_LEVEL_ERROR, first, msg->payload, msg->n);
    slot->failed = true;
}

static void on_need_main(struct slot *slot, const struct ipc_msg *msg)
{
    if (!slot->master->main_interpreter)
        log_info("the application refuses sub-interpreters (%s): using the main interpreter; "
                 "set [app] interpreter = main to skip the try",
                 msg->payload);
    slot->master->main_interpreter = true;
}

static void on_draining(struct slot *slot)
{
    if (slot->state == SLOT_DRAINING || slot->state == SLOT_KILLED)
        return;
    slot_set_state(slot, SLOT_DRAINING);
    slot_arm(slot, slot->master->conf->server.graceful_timeout + GRACE_MS);
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
    case IPC_DRAINING:
        on_draining(slot);
        break;
    default:
        log_warning("worker %u (pid %d) sent %s", slot->index + 1, (int)slot->pid,
                    ipc_name(msg->type));
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
    bool may_be_main =
        slot->master->conf->app.interpreter == CONF_INTERPRETER_AUTO && !slot->main_interpreter;
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
    bool own_end = slot->state == SLOT_DRAINING && status == 0;
    enum log_level level = death == DEATH_NEED_MAIN                           ? LOG_LEVEL_DEBUG
                           : death == DEATH_ASKED && ended_well(slot, status) ? LOG_LEVEL_INFO
                           : death == DEATH_CRASH && own_end                  ? LOG_LEVEL_INFO
                           : death == DEATH_BOOT && slot->failed              ? LOG_LEVEL_INFO
                                                                              : LOG_LEVEL_ERROR;
    log_at(level, "worker %u (pid %d) %s%s", slot->index + 1, (int)slot->pid, words,
           death == DEATH_BOOT ? " before it was ready" : "");
}

void worker_gone(struct slot *slot, int status)
{
    struct master *master = slot->master;
    read_messages(slot, UINT32_MAX); /* its last words may still be on the way */
    enum death death = judge(slot, status);
    log_death(slot, death, status);
    if (death == DEATH_BOOT || death == DEATH_CRASH)
        slot_backoff(slot, clock_ms());
    if (death == DEATH_NEED_MAIN)
        master->main_interpreter = true;
    slot_clear(slot);
    scoreboard_clear(master->scoreboard, slot->index);
    if (death == DEATH_BOOT && master->state == MASTER_STARTING) {
        bool app = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_APP;
        master_boot_failed(master, app ? MASTER_EXIT_APP : MASTER_EXIT_BOOT);
    } else if (is_wanted(slot)) {
        if (death == DEATH_BOOT || death == DEATH_CRASH)
            schedule(slot);
        else
            fill(slot);
    }
    master_worker_gone(master);
}
