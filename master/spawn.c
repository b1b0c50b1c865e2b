/* spawn.c: see spawn.h. The child keeps the standard streams, the log, the listening sockets and
 * its end of the socketpair, and nothing else of the master's: a descriptor too many would keep a
 * port busy or hide an EOF.
 *
 * PR_SET_PDEATHSIG is not used: a worker whose master dies sees EOF and drains instead of being
 * cut.
 */
#include "master/spawn.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/heritage.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "master/apply.h"
#include "master/daemon.h"
#include "master/dev_reload.h"
#include "master/generation.h"
#include "master/workers.h"
#include "master/master.h"
#include "master/slots.h"
#include "master/stacks.h"

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
static int close_what_is_the_masters(const struct listeners *listeners, int ipc_fd, int stacks_fd)
{
    int log_fds[LOG_MAX_FDS];
    size_t n_log = log_own_fds(log_fds);
    size_t n = 0, most = listeners->n + n_log + 2;
    int *keep = calloc(most, sizeof(*keep));
    if (!keep)
        return -1;
    for (size_t i = 0; i < listeners->n; i++)
        keep[n++] = listeners->v[i].fd;
    for (size_t i = 0; i < n_log; i++)
        keep[n++] = log_fds[i];
    keep[n++] = ipc_fd;
    keep[n++] = stacks_fd;
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

void spawn_default_signals(void)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    signal(SIGUSR2, SIG_IGN); /* somebody may ask for stacks before Python can write them */
    for (int signo = 1; signo < NSIG; signo++)
        if (signo != SIGPIPE && signo != SIGUSR2)
            sigaction(signo, &dfl, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* libevent remembers one base per process as that of signals, and the child still shares the
 * master's epoll and pipes: reinit gives it copies of its own, which can then be freed without
 * touching the master's. */
static int forget_base(struct event_base *base)
{
    if (event_reinit(base) < 0)
        return -1;
    event_base_free(base);
    return 0;
}

/* A generation that does not serve yet may log elsewhere than the master does. */
static int follow_log(const struct conf_log *now, const struct conf *conf, int ipc_fd)
{
    if (now->loglevel == conf->log.loglevel && strcmp(now->errorlog, conf->log.errorlog) == 0)
        return 0;
    if (apply_log(conf) == 0)
        return 0;
    const char why[] = "log.errorlog cannot be opened";
    if (ipc_send(ipc_fd, IPC_FAILED, why, sizeof(why) - 1) < 0)
        log_debug("the master is gone");
    return -1;
}

/* Between us, index 0, and a worker. */
struct channels {
    int ipc[2], stacks[2];
};

/* 0, or -1 with errno. */
static int open_channels(struct channels *channels)
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

static void close_channels(struct channels *channels, unsigned side)
{
    fd_close(&channels->ipc[side]);
    fd_close(&channels->stacks[side]);
}

static _Noreturn void be_worker(const struct master *master, const struct slot *slot, int ipc_fd,
                                int stacks_fd)
{
    if (forget_base(master->base) < 0) {
        log_critical("worker %u: no event loop after the fork: %s", slot->index + 1,
                     strerror(errno));
        _exit(WORKER_EXIT_BOOT);
    }
    spawn_default_signals();
    const struct generation *generation = slot->generation;
    const struct conf *conf = generation->conf;
    const char *name = conf->server.proc_name;
    proctitle_set(&master->title, "%s: worker %u", name ? name : "tine", slot->index + 1);
    struct heritage heritage = {
        .conf = conf,
        .listeners = generation->listeners.v,
        .n_listeners = generation->listeners.n,
        .scoreboard = master->scoreboard,
        .vault = generation->certs.vault,
        .tickets = master->tickets,
        .slot = slot->index,
        .generation = generation->number,
        .ipc_fd = ipc_fd,
        .stacks_fd = stacks_fd,
        .main_interpreter = slot->main_interpreter,
    };
    if (dev_reload_is_fresh(master, generation))
        setenv("PYTHONDONTWRITEBYTECODE", "1", 0);
    if (follow_log(&master->conf->log, conf, ipc_fd) < 0)
        _exit(WORKER_EXIT_BOOT);
    if (master->daemon.on)
        daemon_detach_stdio();
    if (close_what_is_the_masters(&generation->listeners, ipc_fd, stacks_fd) < 0 ||
        privs_drop(&master->privs) < 0)
        _exit(WORKER_EXIT_BOOT);
    umask((mode_t)conf->server.umask);
    _exit(worker_main(&heritage));
}

/* Signals wait while we are two: in the child the master's handlers would write into the master's
 * own event base. */
static pid_t fork_quietly(struct master *master, struct slot *slot, const struct channels *channels)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        be_worker(master, slot, channels->ipc[1], channels->stacks[1]);
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

/* 0, or -1. */
static int listen_to(struct slot *slot)
{
    struct event_base *base = slot->master->base;
    const short what = EV_READ | EV_PERSIST;
    if (event_assign(&slot->stacks, base, slot->stacks_fd, what, on_slot_stacks, slot) < 0 ||
        event_assign(&slot->ipc, base, slot->ipc_fd, what, on_slot_ipc, slot) < 0 ||
        event_add(&slot->ipc, NULL) < 0)
        return -1;
    return event_add(&slot->stacks, NULL);
}

int spawn_worker(struct master *master, struct slot *slot)
{
    const struct generation *generation = slot->generation;
    struct channels channels;
    if (open_channels(&channels) < 0) {
        log_error("worker %u: no socketpair or pipe: %s", slot->index + 1, strerror(errno));
        return -1;
    }
    scoreboard_clear(master->scoreboard, slot->index);
    slot->main_interpreter =
        generation->main_interpreter || generation->conf->app.interpreter == CONF_INTERPRETER_MAIN;
    pid_t pid = fork_quietly(master, slot, &channels);
    close_channels(&channels, 1);
    if (pid < 0) {
        log_error("worker %u: fork: %s", slot->index + 1, strerror(errno));
        close_channels(&channels, 0);
        return -1;
    }
    slot->pid = pid;
    slot->started_ms = clock_ms();
    slot->ipc_fd = channels.ipc[0];
    slot->stacks_fd = channels.stacks[0];
    slot_set_state(slot, SLOT_STARTING);
    if (listen_to(slot) < 0) {
        /* Deaf to its worker the master cannot go on with it; reaping clears up. */
        log_error("worker %u: cannot listen to it", slot->index + 1);
        kill(pid, SIGKILL);
        slot_set_state(slot, SLOT_KILLED);
        return 0;
    }
    slot_arm(slot, generation->conf->server.boot_timeout);
    log_info("worker %u (pid %d) started", slot->index + 1, (int)pid);
    return 0;
}
