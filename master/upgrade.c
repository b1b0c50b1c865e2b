/* SPDX-License-Identifier: BSD-3-Clause */
/* upgrade.c: see upgrade.h. The states and what moves between them; the new process itself is made in
 * upgrade_exec.c.
 *
 * Who speaks to the service manager: the old one until the new one is ready; then the old one names
 * the new one as the main process and falls silent, unless the new one is gone again. A new one that
 * is not ready yet, or stops while the old one is there, says nothing: the service goes on.
 */
#include "master/upgrade.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/control/control.h"
#include "master/fleet/generation.h"
#include "master/master.h"
#include "master/metrics/metrics.h"
#include "master/system/notify_main.h"
#include "master/system/pidfile.h"
#include "master/fleet/reap.h"
#include "master/upgrade_exec.h"
#include "master/fleet/workers.h"

/* Past boot_timeout: the new one's own end of it comes first. */
#define BOOT_EXTRA_MS 2000
#define STOP_MS 5000

/* --- birth and death --- */

static void take_channel(struct upgrade *upgrade, const char *from)
{
    int pid = 0, fd = -1, end = 0;
    // NOLINTNEXTLINE(cert-err34-c): a number out of range is no descriptor and no process
    bool good = sscanf(from, "%d:%d%n", &pid, &fd, &end) == 2 && !from[end] && pid > 0 && fd > STDERR_FILENO &&
                fd_set_cloexec(fd) == 0 && fd_set_nonblocking(fd) == 0;
    if (!good)
        return;
    upgrade->state = UPGRADE_HEIR;
    upgrade->other = pid;
    upgrade->fd = fd;
}

void upgrade_init(struct upgrade *upgrade, char **argv)
{
    const char *from = getenv(UPGRADE_ENV_FROM), *sockets = getenv(UPGRADE_ENV_SOCKETS);
    *upgrade = (struct upgrade){ .argv = argv, .fd = -1, .herald_fd = -1 };
    upgrade->program = argv[0] ? upgrade_find_program(argv[0]) : NULL;
    if (from)
        take_channel(upgrade, from);
    if (sockets)
        upgrade->sockets = strdup(sockets);
    unsetenv(UPGRADE_ENV_FROM);
    unsetenv(UPGRADE_ENV_SOCKETS);
}

void upgrade_take_sockets(struct upgrade *upgrade, struct listeners *listeners)
{
    if (!upgrade->sockets)
        return;
    listeners_take_over(listeners, upgrade->sockets);
    listeners->shared = upgrade->state == UPGRADE_HEIR;
    log_info("upgrade: %zu socket%s handed over by the old binary (pid %d)", listeners->n, listeners->n == 1 ? "" : "s",
             (int)upgrade->other);
    free(upgrade->sockets);
    upgrade->sockets = NULL;
}

static void close_channel(struct upgrade *upgrade)
{
    if (event_initialized(&upgrade->heard))
        event_del(&upgrade->heard);
    if (event_initialized(&upgrade->timer))
        event_del(&upgrade->timer);
    /* Not to be touched again: the event base may go before we do. */
    memset(&upgrade->heard, 0, sizeof(upgrade->heard));
    memset(&upgrade->timer, 0, sizeof(upgrade->timer));
    fd_close(&upgrade->fd);
}

void upgrade_done(struct upgrade *upgrade)
{
    close_channel(upgrade);
    fd_close(&upgrade->herald_fd);
    free(upgrade->program);
    free(upgrade->sockets);
    upgrade->program = upgrade->sockets = NULL;
}

/* Both masters listen on the same sockets, or one does. */
static void set_shared(struct master *master, bool shared)
{
    master->current->listeners.shared = shared;
}

/* --- the new one --- */

/* The old one is gone, whatever way. */
static void on_old_gone(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    bool stops = master->state == MASTER_STOPPING;
    log_info("upgrade: the old binary (pid %d) is gone: this one serves alone", (int)upgrade->other);
    if (master->conf->server.pidfile)
        pidfile_forget_retired(master->conf->server.pidfile, upgrade->other);
    close_channel(upgrade);
    upgrade->state = UPGRADE_ALONE;
    upgrade->parent = upgrade->other;
    upgrade->other = 0;
    set_shared(master, false);
    if (master->state != MASTER_STARTING && !stops)
        control_take_over(master);
    /* Again: it may have died without a word. */
    master->notify.quiet = false;
    notify_send(&master->notify, "MAINPID=%d%s", (int)getpid(), stops ? "\nSTOPPING=1" : "");
}

void upgrade_look(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    fd_close(&upgrade->herald_fd);
    if (!upgrade->parent || getppid() == upgrade->parent)
        return;
    upgrade->parent = 0;
    upgrade->herald_fd = notify_main_again(&master->notify);
}

static void on_old_heard(int fd, short what, void *arg)
{
    struct master *master = arg;
    char byte;
    ssize_t got = read(fd, &byte, 1);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        on_old_gone(master);
}

int upgrade_start(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    if (upgrade->state != UPGRADE_HEIR)
        return 0;
    master->notify.quiet = true;
    event_assign(&upgrade->heard, master->base, upgrade->fd, EV_READ | EV_PERSIST, on_old_heard, master);
    return event_add(&upgrade->heard, NULL);
}

void upgrade_ready(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    if (upgrade->state != UPGRADE_HEIR)
        return;
    master->notify.quiet = false;
    if (write(upgrade->fd, "", 1) < 0)
        log_debug("upgrade: the old binary does not listen: %m");
}

/* --- the old one --- */

static void on_new_ready(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->state = UPGRADE_BESIDE;
    event_del(&upgrade->timer);
    log_info("upgrade: the new binary (pid %d) is ready and serves too; end this one by SIGTERM, or "
             "end that one to go back",
             (int)upgrade->other);
    notify_send(&master->notify, "MAINPID=%d", (int)upgrade->other);
    master->notify.quiet = true;
    metrics_follow(master);
}

static void on_new_heard(int fd, short what, void *arg)
{
    struct master *master = arg;
    char byte;
    ssize_t got = read(fd, &byte, 1);
    if (got == 1 && master->upgrade.state == UPGRADE_BOOTING)
        on_new_ready(master);
    else if (got == 0) /* its SIGCHLD tells the rest */
        event_del(&master->upgrade.heard);
}

static void on_timer(int fd, short what, void *arg)
{
    const struct master *master = arg;
    log_error("upgrade: the new binary (pid %d) was not %s in time: killing it", (int)master->upgrade.other,
              master->state == MASTER_STOPPING ? "gone" : "ready");
    kill(master->upgrade.other, SIGKILL);
}

static void arm(struct upgrade *upgrade, uint64_t ms)
{
    struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    evtimer_add(&upgrade->timer, &tv);
}

/* 0, or -1 logged: nothing has changed. */
static int begin(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    const char *pidfile = master->conf->server.pidfile;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
        log_error("upgrade: no socketpair: %s", strerror(errno));
        return -1;
    }
    event_assign(&upgrade->heard, master->base, fds[0], EV_READ | EV_PERSIST, on_new_heard, master);
    evtimer_assign(&upgrade->timer, master->base, on_timer, master);
    upgrade->fd = fds[0];
    pid_t pid = -1;
    if (event_add(&upgrade->heard, NULL) == 0 && (!pidfile || pidfile_retire(pidfile) == 0)) {
        pid = upgrade_exec(master, fds[1]);
        if (pid < 0 && pidfile)
            pidfile_return(pidfile);
    }
    fd_close(&fds[1]);
    if (pid < 0) {
        close_channel(upgrade);
        return -1;
    }
    upgrade->other = pid;
    return 0;
}

void upgrade_request(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    reap_children(master); /* it may be gone, and its SIGCHLD be handled behind this */
    if (upgrade->state == UPGRADE_HEIR)
        log_warning("SIGUSR2: the old binary (pid %d) is still there: end it first", (int)upgrade->other);
    else if (upgrade->state != UPGRADE_ALONE)
        log_warning("SIGUSR2: an upgrade is under way: the new binary has pid %d", (int)upgrade->other);
    else if (master->state != MASTER_RUNNING)
        log_warning("SIGUSR2: only a service that runs, and does not reload, can be upgraded");
    else if (!upgrade->program)
        log_error("SIGUSR2: no program was found as %s when this one started", upgrade->argv[0]);
    else if (begin(master) == 0) {
        upgrade->state = UPGRADE_BOOTING;
        set_shared(master, true);
        arm(upgrade, master->conf->server.boot_timeout + BOOT_EXTRA_MS);
        log_info("SIGUSR2: started %s as the new binary (pid %d)", upgrade->program, (int)upgrade->other);
    }
}

/* We are the only ones again. */
static void resume(struct master *master, bool was_ready)
{
    const char *pidfile = master->conf->server.pidfile;
    if (pidfile)
        pidfile_return(pidfile);
    set_shared(master, false);
    master->notify.quiet = false;
    char main_pid[40];
    snprintf(main_pid, sizeof(main_pid), "MAINPID=%d\n", (int)getpid());
    if (master->state == MASTER_STOPPING) {
        if (was_ready)
            notify_send(&master->notify, "%sSTOPPING=1", main_pid);
    } else if (was_ready) {
        master_tell_status(master, main_pid);
    }
    if (was_ready)
        control_take_back(master);
    if (master->paused) { /* its workers were ended for the sake of the new one */
        master->paused = false;
        workers_fill(master, master->current);
    }
    metrics_follow(master);
    master_worker_gone(master);
}

bool upgrade_child_gone(struct master *master, pid_t pid, int status)
{
    struct upgrade *upgrade = &master->upgrade;
    char words[REAP_WORDS];
    if (pid != upgrade->other || upgrade->state == UPGRADE_HEIR)
        return false;
    bool was_ready = upgrade->state == UPGRADE_BESIDE;
    reap_words(status, words);
    bool stopping = master->state == MASTER_STOPPING; /* and so was the new one told */
    log_at(stopping || (status == 0 && was_ready) ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
           "upgrade: the new binary (pid %d) %s%s%s", (int)pid, words, was_ready ? "" : " before it was ready",
           stopping ? "" : ": this one goes on");
    close_channel(upgrade);
    upgrade->state = UPGRADE_ALONE;
    upgrade->other = 0;
    resume(master, was_ready);
    if (!was_ready && !stopping)
        notify_send(&master->notify, "STATUS=the upgrade failed: the new binary %s before it was ready", words);
    return true;
}

void upgrade_stop(struct master *master, bool quick)
{
    struct upgrade *upgrade = &master->upgrade;
    if (upgrade->state == UPGRADE_HEIR) {
        master->notify.quiet = true;
    } else if (upgrade->state == UPGRADE_BOOTING) {
        log_info("upgrade: the new binary (pid %d) is not ready and stops too", (int)upgrade->other);
        kill(upgrade->other, quick ? SIGQUIT : SIGTERM);
        arm(upgrade, STOP_MS);
        set_shared(master, false);
    }
}

bool upgrade_holds_the_end(const struct master *master)
{
    return master->upgrade.state == UPGRADE_BOOTING;
}
