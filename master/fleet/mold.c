/* SPDX-License-Identifier: BSD-3-Clause */
/* mold.c: one order at a time is with a mold, so that nothing but the last one is in doubt when it ends. */
#include "master/fleet/mold.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/fatal.h"
#include "common/fdutil.h"
#include "common/heritage.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/fleet/exit_words.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"
#include "master/fleet/seats.h"
#include "master/fleet/spawn.h"
#include "master/fleet/stacks.h"

#define FORK_MS 10000 /* for an order */
#define MESSAGES_AT_ONCE 64 /* of one mold: others have to be heard as well */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 30000
#define STACKS_MS 1000 /* for writing its stacks, before SIGKILL */
#define HEALTHY_MS 10000 /* READY for this long: the next back-off is short again */

enum mold_state {
    MOLD_NONE, /* no process; one is due (timer) */
    MOLD_STARTING, /* loads the application; timer: boot_timeout */
    MOLD_READY, /* timer: an order is with it */
    MOLD_KILLED, /* not collected yet; generation is NULL if it is not to come back */
};

struct mold_order {
    TAILQ_ENTRY(mold_order) link;
    struct mold *mold;
    struct slot *slot; /* NULL: given up */
    uint32_t number;
    struct spawn_channels channels; /* while it is with the mold */
};

struct mold {
    LIST_ENTRY(mold) link;
    struct fleet *fleet;
    struct generation *generation; /* NULL: it needs no more workers */
    enum mold_state state;
    pid_t pid;
    int fd;
    struct event ipc, timer;
    enum hosting hosting;
    bool failure_logged; /* in its own words (IPC_FAILED) */
    bool asked_stacks; /* too late: it writes them, then it is killed */
    bool was_ready; /* in some life */
    uint64_t ready_ms; /* clock_ms() of READY; 0: not in this life */
    unsigned backoff_ms;
    uint32_t next_number;
    bool sent; /* the first order is with it */
    TAILQ_HEAD(, mold_order) orders;
};

struct mold_stray {
    LIST_ENTRY(mold_stray) link;
    pid_t pid;
};

/* States that may follow, as bits; a process may be gone at any time. */
static void set_state(struct mold *m, enum mold_state state)
{
    static const unsigned next[] = {
        [MOLD_NONE] = 1u << MOLD_STARTING,
        [MOLD_STARTING] = 1u << MOLD_READY | 1u << MOLD_KILLED | 1u << MOLD_NONE,
        [MOLD_READY] = 1u << MOLD_KILLED | 1u << MOLD_NONE,
        [MOLD_KILLED] = 1u << MOLD_KILLED | 1u << MOLD_NONE,
    };
    fatal_unless(next[m->state] & 1u << state);
    m->state = state;
}

static void arm(struct mold *m, uint64_t ms)
{
    struct timeval tv = timeval_of_ms(ms);
    evtimer_add(&m->timer, &tv);
}

static bool is_next(const struct mold *m)
{
    return m->generation && m->generation == m->fleet->next;
}

/* --- orders --- */

static void order_free(struct mold_order *order)
{
    TAILQ_REMOVE(&order->mold->orders, order, link);
    if (order->slot)
        order->slot->order = NULL;
    free(order);
}

/* What the mold may have done with it is void: a worker that has the other ends sees EOF. */
static void take_back(struct mold *m)
{
    struct mold_order *order = TAILQ_FIRST(&m->orders);
    if (!m->sent)
        return;
    m->sent = false;
    spawn_channels_close(&order->channels, 0);
    if (!order->slot)
        order_free(order);
}

static bool is_with_mold(const struct mold_order *order)
{
    return order->mold->sent && order == TAILQ_FIRST(&order->mold->orders);
}

void mold_forget(struct slot *slot)
{
    struct mold_order *order = slot->order;
    if (!order)
        return;
    slot->order = NULL;
    order->slot = NULL;
    if (!is_with_mold(order))
        order_free(order);
}

/* The first order goes to the mold. */
static void send_next(struct mold *m)
{
    struct mold_order *order = TAILQ_FIRST(&m->orders);
    if (m->state != MOLD_READY || m->sent || !order)
        return;
    struct ipc_fork fork = { .order = order->number = ++m->next_number, .slot = order->slot->index };
    if (spawn_channels_open(&order->channels) < 0) {
        log_error("worker %u: no socketpair or pipe: %s", order->slot->index + 1, strerror(errno));
        arm(m, BACKOFF_FIRST_MS);
        return;
    }
    scoreboard_clear(m->fleet->scoreboard, order->slot->index);
    seats_give(order->slot);
    int fds[2] = { order->channels.ipc[1], order->channels.stacks[1] };
    if (ipc_send_with_fds(m->fd, IPC_FORK, &fork, sizeof(fork), fds) < 0)
        log_debug("mold (pid %d) takes no order: %s", (int)m->pid, strerror(errno)); /* its end is on the way */
    spawn_channels_close(&order->channels, 1);
    m->sent = true;
    arm(m, FORK_MS);
}

static void kill_stray(struct fleet *fleet, pid_t pid)
{
    struct mold_stray *stray = calloc(1, sizeof(*stray));
    privs_signal(&fleet->privs, pid, SIGKILL);
    if (!stray)
        return;
    stray->pid = pid;
    LIST_INSERT_HEAD(&fleet->molds.strays, stray, link);
}

static void kill_mold(struct mold *m)
{
    event_del(&m->timer);
    if (m->pid)
        kill(m->pid, SIGKILL);
    set_state(m, MOLD_KILLED);
}

static void on_forked(struct mold *m, const struct ipc_msg *msg)
{
    struct ipc_forked forked;
    struct mold_order *order = TAILQ_FIRST(&m->orders);
    if (msg->n != sizeof(forked))
        return;
    memcpy(&forked, msg->payload, sizeof(forked));
    if (!m->sent || !order || forked.order != order->number) {
        log_error("mold (pid %d) answers an order that it does not have: killing the mold", (int)m->pid);
        kill_mold(m);
        return;
    }
    event_del(&m->timer);
    if (forked.pid <= 0) {
        log_error("mold (pid %d) cannot fork: %s", (int)m->pid, strerror(-forked.pid));
        take_back(m);
        arm(m, BACKOFF_FIRST_MS);
        return;
    }
    if (!privs_may_signal(&m->fleet->privs, (pid_t)forked.pid)) {
        log_error("mold (pid %d) calls process %d its worker, which it is not: killing the mold", (int)m->pid,
                  (int)forked.pid);
        kill_mold(m);
        return;
    }
    struct slot *slot = order->slot;
    struct spawn_channels channels = order->channels;
    m->sent = false;
    order_free(order);
    if (slot) {
        slot->main_interpreter = generation_lives_in_main(slot->generation);
        slot->hosting = HOSTING_DONE;
        spawn_adopt(slot, (pid_t)forked.pid, &channels);
    } else {
        spawn_channels_close(&channels, 0);
        kill_stray(m->fleet, (pid_t)forked.pid);
    }
    send_next(m);
}

/* --- what it says --- */

static void on_ready(struct mold *m)
{
    if (m->state != MOLD_STARTING)
        return;
    set_state(m, MOLD_READY);
    m->was_ready = true;
    m->ready_ms = clock_ms();
    event_del(&m->timer);
    log_info("mold (pid %d) has loaded the application", (int)m->pid);
    send_next(m);
}

static void on_failed(struct mold *m, const struct ipc_msg *msg)
{
    char first[80];
    snprintf(first, sizeof(first), "mold (pid %d) failed to start:", (int)m->pid);
    log_block(LOG_LEVEL_ERROR, first, msg->payload, msg->n);
    m->failure_logged = true;
    if (is_next(m))
        m->fleet->events->said(m->fleet->arg, m->generation, msg->payload, msg->n);
}

static int hear(struct mold *m, struct ipc_msg *msg)
{
    return hosting_recv(&m->hosting, m->generation, m->fd, msg);
}

static void read_messages(struct mold *m)
{
    struct ipc_msg *msg = malloc(sizeof(*msg));
    int got;
    for (unsigned n = 0; msg && n < MESSAGES_AT_ONCE && m->fd >= 0 && (got = hear(m, msg)) != 0; n++) {
        if (got < 0) {
            event_del(&m->ipc);
            fd_close(&m->fd);
        } else if (msg->type == IPC_READY) {
            on_ready(m);
        } else if (msg->type == IPC_FAILED) {
            on_failed(m, msg);
        } else if (msg->type == IPC_FORKED) {
            on_forked(m, msg);
        } else if (msg->type != IPC_BECOMES && msg->type != IPC_HOSTED) {
            log_warning("mold (pid %d) sent %s", (int)m->pid, ipc_name(msg->type));
        }
    }
    free(msg);
}

static void on_ipc(int fd, short what, void *arg)
{
    read_messages(arg);
}

void molds_listen(struct fleet *fleet)
{
    struct mold *m;
    LIST_FOREACH (m, &fleet->molds.all, link)
        read_messages(m);
}

void molds_tell(struct fleet *fleet, enum ipc_type type)
{
    struct mold *m;
    LIST_FOREACH (m, &fleet->molds.all, link)
        if (m->fd >= 0 && ipc_send(m->fd, type, NULL, 0) < 0)
            log_debug("mold (pid %d) does not take %s: %s", (int)m->pid, ipc_name(type), strerror(errno));
}

/* --- birth --- */

static int start_mold(struct mold *m)
{
    struct fleet *fleet = m->fleet;
    const struct conf_server *conf = &m->generation->conf->server;
    /* Workers become our children when the process between them and the mold ends. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
        log_error("mold: the kernel knows no PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
        return -1;
    }
    if ((m->pid = spawn_mold(fleet, m->generation, &m->fd)) < 0) {
        m->pid = 0;
        return -1;
    }
    m->failure_logged = m->sent = m->asked_stacks = false;
    m->hosting = HOSTING_OURS;
    m->ready_ms = 0;
    set_state(m, MOLD_STARTING);
    if (event_assign(&m->ipc, fleet->base, m->fd, EV_READ | EV_PERSIST, on_ipc, m) < 0 ||
        event_add(&m->ipc, NULL) < 0) {
        log_error("mold (pid %d): cannot listen to it", (int)m->pid);
        kill(m->pid, SIGKILL);
        set_state(m, MOLD_KILLED);
        return 0;
    }
    arm(m, conf->boot_timeout);
    log_info("mold (pid %d) started", (int)m->pid);
    return 0;
}

/* Longer each time, until one has been READY for a while. */
static void start_later(struct mold *m)
{
    unsigned twice = m->ready_ms && clock_ms() - m->ready_ms >= HEALTHY_MS ? 0 : m->backoff_ms * 2;
    m->backoff_ms = !twice ? BACKOFF_FIRST_MS : twice < BACKOFF_MOST_MS ? twice : BACKOFF_MOST_MS;
    log_info("the mold starts again in %u.%u s", m->backoff_ms / 1000, m->backoff_ms % 1000 / 100);
    arm(m, m->backoff_ms);
}

static void on_timer(int fd, short what, void *arg)
{
    struct mold *m = arg;
    switch (m->state) {
    case MOLD_NONE:
        if (start_mold(m) < 0)
            start_later(m);
        return;
    case MOLD_STARTING:
        if (m->asked_stacks)
            break;
        m->asked_stacks = true;
        stacks_of_late(m->fleet, "mold", m->pid, m->generation->conf->server.boot_timeout);
        arm(m, STACKS_MS);
        return;
    case MOLD_READY:
        if (!m->sent) {
            send_next(m); /* what failed a moment ago */
            return;
        }
        log_error("mold (pid %d) does not fork: killing it", (int)m->pid);
        break;
    case MOLD_KILLED:
        return;
    }
    kill_mold(m);
}

static struct mold *mold_new(struct fleet *fleet, struct generation *generation)
{
    struct mold *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->fleet = fleet;
    m->generation = generation;
    m->fd = -1;
    TAILQ_INIT(&m->orders);
    evtimer_assign(&m->timer, fleet->base, on_timer, m);
    LIST_INSERT_HEAD(&fleet->molds.all, m, link);
    generation->mold = m;
    return m;
}

static void mold_free(struct mold *m)
{
    struct mold_order *order;
    take_back(m);
    while ((order = TAILQ_FIRST(&m->orders)))
        order_free(order); // NOLINT(clang-analyzer-unix.Malloc): takes it from the list
    if (m->fd >= 0)
        event_del(&m->ipc);
    fd_close(&m->fd);
    event_del(&m->timer);
    LIST_REMOVE(m, link);
    free(m);
}

int mold_ask(struct slot *slot)
{
    struct generation *generation = slot->generation;
    if (slot->order)
        return 0;
    struct mold *m = generation->mold ? generation->mold : mold_new(slot->fleet, generation);
    struct mold_order *order = m ? calloc(1, sizeof(*order)) : NULL;
    if (!order) {
        log_error("out of memory for another worker");
        return -1;
    }
    order->mold = m;
    order->slot = slot;
    slot->order = order;
    TAILQ_INSERT_TAIL(&m->orders, order, link);
    if (m->state == MOLD_NONE && !evtimer_pending(&m->timer, NULL) && start_mold(m) < 0) {
        order_free(order);
        return -1;
    }
    send_next(m);
    return 0;
}

/* --- death --- */

void mold_end(struct generation *generation)
{
    struct mold *m = generation->mold;
    if (!m)
        return;
    generation->mold = NULL;
    m->generation = NULL;
    if (m->pid)
        kill_mold(m);
    else
        mold_free(m);
}

void molds_end_all(struct fleet *fleet)
{
    struct mold *m, *next;
    for (m = LIST_FIRST(&fleet->molds.all); m; m = next) {
        next = LIST_NEXT(m, link);
        if (m->generation)
            mold_end(m->generation);
    }
}

/* It was wanted, and has ended. */
static void after_mold(struct mold *m, int status)
{
    struct fleet *fleet = m->fleet;
    struct generation *generation = m->generation;
    char words[EXIT_WORDS];
    exit_words(status, m->state == MOLD_KILLED, words);
    char *doubt = m->hosting == HOSTING_AWAY && !m->failure_logged ? generation_doubt(generation) : NULL;
    log_at(m->failure_logged ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "mold (pid %d) %s%s%s", (int)m->pid, words,
           doubt ? ": " : "", doubt ? doubt : "");
    if (doubt)
        fleet->events->said(fleet->arg, generation, doubt, strlen(doubt));
    free(doubt);
    m->pid = 0;
    set_state(m, MOLD_NONE);
    take_back(m);
    if (generation == fleet->next || (!m->was_ready && fleet->phase == FLEET_BOOTING))
        fleet->events->boot_failed(fleet->arg, generation, boot_fault_of(status), words);
    else
        start_later(m);
}

static void collect(struct mold *m, int status)
{
    struct fleet *fleet = m->fleet;
    read_messages(m); /* its last words may still be on the way */
    if (m->fd >= 0)
        event_del(&m->ipc);
    fd_close(&m->fd);
    event_del(&m->timer);
    if (m->generation)
        after_mold(m, status);
    else
        mold_free(m);
    fleet->events->gone(fleet->arg);
}

static bool collect_stray(struct fleet *fleet, pid_t pid)
{
    struct mold_stray *stray;
    LIST_FOREACH (stray, &fleet->molds.strays, link) {
        if (stray->pid != pid)
            continue;
        LIST_REMOVE(stray, link);
        free(stray);
        fleet->events->gone(fleet->arg);
        return true;
    }
    return false;
}

bool molds_collect(struct fleet *fleet, pid_t pid, int status)
{
    struct mold *m;
    LIST_FOREACH (m, &fleet->molds.all, link) {
        if (m->pid != pid)
            continue;
        collect(m, status);
        return true;
    }
    return collect_stray(fleet, pid);
}

bool molds_alive(const struct fleet *fleet)
{
    struct mold *m;
    LIST_FOREACH (m, &fleet->molds.all, link)
        if (m->pid)
            return true;
    return LIST_FIRST(&fleet->molds.strays) != NULL;
}
