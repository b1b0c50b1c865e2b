/* SPDX-License-Identifier: BSD-3-Clause */
/* spawn.c: the child keeps the standard streams, the log, the listening sockets and
 * its end of the socketpair, and nothing else of the master's: a descriptor too many would keep a
 * port busy or hide an EOF.
 *
 * A child that boots dies with the master (PR_SET_PDEATHSIG): it may be stuck in an import, where it
 * would not see EOF, and has no requests yet. Before it accepts, it takes that back: a worker whose
 * master dies then sees EOF and drains instead of being cut.
 */
#include "master/fleet/spawn.h"

#include <config.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/heritage.h"
#include "common/ipc.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/stop_signals.h"
#include "common/tickets.h"
#include "common/vault.h"
#include "conf/conf.h"
#include "master/system/daemon.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"
#include "master/fleet/hosting.h"
#include "master/fleet/seats.h"
#include "master/fleet/slots.h"
#include "master/system/error_log.h"

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void close_from_to(int first, int last)
{
    if (first > last || close_range((unsigned)first, (unsigned)last, 0) == 0)
        return;
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd <= last && fd < most; fd++)
        close(fd);
}

/* 0, or -1: out of memory. */
static int close_what_is_the_masters(const struct listeners *listeners, const int *own, size_t n_own)
{
    int log_fds[LOG_MAX_FDS];
    size_t n_log = log_own_fds(log_fds);
    size_t n = 0, most = listeners->n_serving + n_log + n_own;
    int *keep = calloc(most, sizeof(*keep));
    if (!keep)
        return -1;
    for (size_t i = 0; i < listeners->n_serving; i++)
        keep[n++] = listeners->v[i].fd;
    for (size_t i = 0; i < n_log; i++)
        keep[n++] = log_fds[i];
    for (size_t i = 0; i < n_own; i++)
        if (own[i] >= 0)
            keep[n++] = own[i];
    qsort(keep, n, sizeof(*keep), compare_ints);
    int next = STDERR_FILENO + 1;
    for (size_t i = 0; i < n; i++) {
        close_from_to(next, keep[i] - 1);
        if (keep[i] >= next)
            next = keep[i] + 1;
    }
    close_from_to(next, INT32_MAX);
    free(keep);
    return 0;
}

void spawn_default_signals(const sigset_t *blocked)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    signal(SIGUSR2, SIG_IGN); /* stacks may be asked for before Python can write them */
    for (int signo = 1; signo < NSIG; signo++)
        if (signo != SIGPIPE && signo != SIGXFSZ && signo != SIGUSR2)
            sigaction(signo, &dfl, NULL);
    sigprocmask(SIG_SETMASK, blocked, NULL);
}

/* libevent remembers one base per process as that of signals, and the child still shares the
 * master's epoll and pipes: reinit gives it its own copies, which can then be freed without
 * touching the master's. */
static int forget_base(struct event_base *base)
{
    if (event_reinit(base) < 0)
        return -1;
    event_base_free(base);
    return 0;
}

/* A generation that does not serve yet may log elsewhere than the master does. */
static int follow_log(const struct conf_log *now, const struct conf_log *conf, int ipc_fd)
{
    char why[PATH_MAX + 100];
    if (error_log_is_same(now, conf) || error_log_open(conf) == 0)
        return 0;
    int n = snprintf(why, sizeof(why), "log.errorlog %s: %m", conf->errorlog);
    if (ipc_send(ipc_fd, IPC_FAILED, why, (size_t)n < sizeof(why) ? (size_t)n : sizeof(why) - 1) < 0)
        log_debug("the master is gone");
    return -1;
}

int spawn_channels_open(struct spawn_channels *channels)
{
    if (ipc_pair(channels->ipc) < 0)
        return -1;
    /* A signal handler writes there: it must not wait for us. */
    if (pipe2(channels->stacks, O_CLOEXEC | O_NONBLOCK) == 0)
        return 0;
    fd_close(&channels->ipc[0]);
    fd_close(&channels->ipc[1]);
    return -1;
}

void spawn_channels_close(struct spawn_channels *channels, unsigned side)
{
    fd_close(&channels->ipc[side]);
    fd_close(&channels->stacks[side]);
}

/* What is to be born. */
struct birth {
    const struct generation *generation;
    const struct slot *slot; /* NULL: a mold */
    int ipc_fd, stacks_fd;   /* the child's ends; a mold has no stacks_fd */
    pid_t master;
};

static const char *title_name(const struct conf *conf)
{
    return conf->server.proc_name ? conf->server.proc_name : "tine";
}

/* What the child keeps besides listening sockets and log: its channels, and the memory that it will map as another
 * program. -1: not there. */
static size_t own_fds(const struct fleet *fleet, const struct birth *birth, int fds[7])
{
    const struct vault *vault = birth->generation->certs.vault;
    const struct held_module *module = hosting_module(birth->generation, fleet->current);
    size_t n = 0;
    fds[n++] = birth->ipc_fd;
    fds[n++] = birth->stacks_fd;
    if (TINE_EMBEDDED)
        return n;
    fds[n++] = fleet->scoreboard->shared.fd;
    fds[n++] = tickets_fd(fleet->tickets);
    fds[n++] = limits_fd(fleet->limits);
    fds[n++] = vault ? vault_fd(vault) : -1;
    fds[n++] = module ? module->fd : -1;
    return n;
}

/* In the child, up to where the worker begins. */
static void leave_master(const struct fleet *fleet, const struct birth *birth)
{
    const struct generation *generation = birth->generation;
    const struct conf *conf = generation->conf;
    if (forget_base(fleet->base) < 0) {
        log_critical("no event loop after the fork: %s", strerror(errno));
        _exit(WORKER_EXIT_BOOT);
    }
    const sigset_t group = stop_signals_set();
    spawn_default_signals(&group);
    if (generation->no_bytecode)
        setenv("PYTHONDONTWRITEBYTECODE", "1", 0);
    if (follow_log(&fleet->current->conf->log, &conf->log, birth->ipc_fd) < 0)
        _exit(WORKER_EXIT_BOOT);
    if (fleet->detached)
        daemon_detach_stdio();
    int own[7];
    size_t n_own = own_fds(fleet, birth, own);
    if (close_what_is_the_masters(&generation->listeners, own, n_own) < 0 || privs_drop(&fleet->privs) < 0 ||
        (conf->server.no_new_privileges && privs_no_new() < 0))
        _exit(WORKER_EXIT_BOOT);
    privs_set_environment(&fleet->privs);
    const char *password = conf->tls.key_password;
    if (password && strncmp(password, "env:", 4) == 0)
        unsetenv(password + 4); /* the master keeps it for the next ones; the application has no use for it */
    if (conf->server.umask.set)
        umask((mode_t)conf->server.umask.mode);
    /* After the change of user, which would clear it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        log_debug("PR_SET_PDEATHSIG: %m");
    if (getppid() != birth->master)
        _exit(WORKER_EXIT_BOOT);
}

static _Noreturn void be_child(const struct fleet *fleet, const struct birth *birth)
{
    const struct generation *generation = birth->generation;
    const struct slot *slot = birth->slot;
    const struct conf *conf = generation->conf;
    struct heritage heritage = {
        .conf = conf,
        .listeners = generation->listeners.v,
        .n_listeners = generation->listeners.n_serving,
        .scoreboard = fleet->scoreboard,
        .vault = generation->certs.vault,
        .tickets = fleet->tickets,
        .limits = fleet->limits,
        .slot = slot ? slot->index : 0,
        .generation = generation->number,
        .ipc_fd = birth->ipc_fd,
        .stacks_fd = birth->stacks_fd,
        .module = hosting_module(generation, fleet->current),
        .module_is_own = generation->module.fd >= 0,
        .main_interpreter = slot ? slot->main_interpreter : generation_lives_in_main(generation),
    };
    if (slot)
        proctitle_set(&fleet->title, "%s: worker %u", title_name(conf), slot->index + 1);
    else
        proctitle_set(&fleet->title, "%s: mold", title_name(conf));
    leave_master(fleet, birth);
    _exit(slot ? worker_main(&heritage) : mold_main(&heritage, &fleet->title, title_name(conf)));
}

/* Signals wait while we are two: in the child the master's handlers would write into the master's
 * own event base. */
static pid_t fork_quietly(const struct fleet *fleet, const struct birth *birth)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        be_child(fleet, birth);
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

void spawn_adopt(struct slot *slot, pid_t pid, struct spawn_channels *channels)
{
    slot->pid = pid;
    slot->started_ms = clock_ms();
    slot->fleet->counters.started++;
    slot->ipc_fd = channels->ipc[0];
    slot->stacks_fd = channels->stacks[0];
    slot_set_state(slot, SLOT_STARTING);
    if (slot_listen(slot) < 0) {
        /* A worker that the master cannot hear is of no use; collecting it clears up. */
        log_error("worker %u: cannot listen to it", slot->index + 1);
        privs_signal(&slot->fleet->privs, pid, SIGKILL);
        slot_set_state(slot, SLOT_KILLED);
        return;
    }
    slot_arm(slot, slot->generation->conf->server.boot_timeout);
    log_info("worker %u (pid %d) started", slot->index + 1, (int)pid);
}

int spawn_worker(struct slot *slot)
{
    const struct fleet *fleet = slot->fleet;
    const struct generation *generation = slot->generation;
    struct spawn_channels channels;
    if (spawn_channels_open(&channels) < 0) {
        log_error("worker %u: no socketpair or pipe: %s", slot->index + 1, strerror(errno));
        return -1;
    }
    scoreboard_clear(fleet->scoreboard, slot->index);
    limits_clear(fleet->limits, slot->index);
    seats_give(slot);
    slot->main_interpreter = generation_lives_in_main(generation);
    slot->hosting = HOSTING_OURS;
    pid_t pid = fork_quietly(fleet, &(struct birth){ generation, slot, channels.ipc[1], channels.stacks[1], getpid() });
    spawn_channels_close(&channels, 1);
    if (pid < 0) {
        log_error("worker %u: fork: %s", slot->index + 1, strerror(errno));
        spawn_channels_close(&channels, 0);
        return -1;
    }
    spawn_adopt(slot, pid, &channels);
    return 0;
}

pid_t spawn_mold(const struct fleet *fleet, const struct generation *generation, int *ret_fd)
{
    int ipc[2];
    if (ipc_pair(ipc) < 0) {
        log_error("mold: no socketpair: %s", strerror(errno));
        return -1;
    }
    pid_t pid = fork_quietly(fleet, &(struct birth){ generation, NULL, ipc[1], -1, getpid() });
    fd_close(&ipc[1]);
    if (pid < 0) {
        log_error("mold: fork: %s", strerror(errno));
        fd_close(&ipc[0]);
        return -1;
    }
    *ret_fd = ipc[0];
    return pid;
}
