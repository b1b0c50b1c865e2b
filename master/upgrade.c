/* SPDX-License-Identifier: BSD-3-Clause */
/* upgrade.c: the states and what moves between them; the new process itself is made in upgrade_exec.c.
 *
 * Who speaks to the service manager: the old one until the new one is ready; then the old one names the new one as the
 * main process and falls silent, unless the new one is gone again. A new one that is not ready yet, or stops while the old
 * one is there, says nothing: the service continues. */
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

#include "common/clock.h"
#include "common/fatal.h"
#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/exit_words.h"
#include "master/listen/listen.h"
#include "master/service.h"
#include "master/system/notify.h"
#include "master/system/notify_main.h"
#include "master/system/pidfile.h"
#include "master/upgrade_exec.h"

/* Past boot_timeout: the new one's own end of it comes first, and the second in which its workers prove themselves. */
#define BOOT_EXTRA_MS 3000
#define STOP_MS 5000

static void set_state(struct upgrade *upgrade, enum upgrade_state state)
{
    static const unsigned next[] = {
        [UPGRADE_ALONE] = 1u << UPGRADE_BOOTING | 1u << UPGRADE_HEIR,
        [UPGRADE_BOOTING] = 1u << UPGRADE_BESIDE | 1u << UPGRADE_ALONE,
        [UPGRADE_BESIDE] = 1u << UPGRADE_ALONE,
        [UPGRADE_HEIR] = 1u << UPGRADE_ALONE,
    };
    enum upgrade_state *now = &upgrade->service->upgrade;
    fatal_unless(next[*now] & 1u << state);
    *now = state;
}

/* Both masters listen on the same sockets, or one does. */
static void set_shared(const struct upgrade *upgrade, bool shared)
{
    upgrade->service->fleet.current->listeners.shared = shared;
}

/* --- birth and death --- */

static void take_channel(struct upgrade *upgrade, const char *from)
{
    int pid = 0, fd = -1, end = 0;
    // NOLINTNEXTLINE(cert-err34-c): a number out of range is no descriptor and no process
    bool good = sscanf(from, "%d:%d%n", &pid, &fd, &end) == 2 && !from[end] && pid > 0 && fd > STDERR_FILENO &&
                fd_set_cloexec(fd) == 0 && fd_set_nonblocking(fd) == 0;
    if (!good)
        return;
    set_state(upgrade, UPGRADE_HEIR);
    upgrade->other = pid;
    upgrade->fd = fd;
}

void upgrade_init(struct upgrade *upgrade, struct service *service, char **argv)
{
    const char *from = getenv(UPGRADE_ENV_FROM), *sockets = getenv(UPGRADE_ENV_SOCKETS);
    *upgrade = (struct upgrade){ .service = service, .argv = argv, .fd = -1, .herald_fd = -1 };
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
    listeners->shared = upgrade->service->upgrade == UPGRADE_HEIR;
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

/* --- the new one --- */

/* The old one is gone, whatever way. */
static void on_old_gone(struct upgrade *upgrade)
{
    const char *pidfile = service_conf(upgrade->service)->server.pidfile;
    log_info("upgrade: the old binary (pid %d) is gone: this one serves alone", (int)upgrade->other);
    if (pidfile)
        pidfile_forget_retired(pidfile, upgrade->other);
    close_channel(upgrade);
    set_state(upgrade, UPGRADE_ALONE);
    upgrade->parent = upgrade->other;
    upgrade->other = 0;
    set_shared(upgrade, false);
    upgrade->notify->quiet = false;
    upgrade->events->old_gone(upgrade->arg);
}

void upgrade_tick(struct upgrade *upgrade)
{
    fd_close(&upgrade->herald_fd);
    if (!upgrade->parent || getppid() == upgrade->parent)
        return;
    upgrade->parent = 0;
    upgrade->herald_fd = notify_main_again(upgrade->notify);
}

static void on_old_heard(evutil_socket_t fd, short what, void *arg)
{
    char byte;
    ssize_t got = read(fd, &byte, 1);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        on_old_gone(arg);
}

int upgrade_start(struct upgrade *upgrade, struct notify *notify, const char *start_dir,
                  const struct upgrade_events *events, void *arg)
{
    upgrade->notify = notify;
    upgrade->start_dir = start_dir;
    upgrade->events = events;
    upgrade->arg = arg;
    if (upgrade->service->upgrade != UPGRADE_HEIR)
        return 0;
    notify->quiet = true;
    event_assign(&upgrade->heard, upgrade->service->fleet.base, upgrade->fd, EV_READ | EV_PERSIST, on_old_heard,
                 upgrade);
    return event_add(&upgrade->heard, NULL);
}

void upgrade_ready(struct upgrade *upgrade)
{
    if (upgrade->service->upgrade != UPGRADE_HEIR)
        return;
    upgrade->notify->quiet = false;
    if (write(upgrade->fd, "", 1) < 0)
        log_debug("upgrade: the old binary does not listen: %m");
}

/* --- the old one --- */

static void on_new_ready(struct upgrade *upgrade)
{
    set_state(upgrade, UPGRADE_BESIDE);
    event_del(&upgrade->timer);
    log_info("upgrade: the new binary (pid %d) is ready and serves too; end this one by SIGTERM, or "
             "end that one to go back",
             (int)upgrade->other);
    notify_send(upgrade->notify, "MAINPID=%d", (int)upgrade->other);
    upgrade->notify->quiet = true;
    upgrade->events->beside(upgrade->arg);
}

static void on_new_heard(evutil_socket_t fd, short what, void *arg)
{
    struct upgrade *upgrade = arg;
    char byte;
    ssize_t got = read(fd, &byte, 1);
    if (got == 1 && upgrade->service->upgrade == UPGRADE_BOOTING)
        on_new_ready(upgrade);
    else if (got == 0) /* its SIGCHLD tells the rest */
        event_del(&upgrade->heard);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    const struct upgrade *upgrade = arg;
    log_error("upgrade: the new binary (pid %d) was not %s in time: killing it", (int)upgrade->other,
              upgrade->service->state == SERVICE_STOPPING ? "gone" : "ready");
    kill(upgrade->other, SIGKILL);
}

static void arm(struct upgrade *upgrade, uint64_t ms)
{
    struct timeval tv = timeval_of_ms(ms);
    evtimer_add(&upgrade->timer, &tv);
}

/* 0, or -1 logged: nothing has changed. */
static int begin_upgrade(struct upgrade *upgrade)
{
    struct event_base *base = upgrade->service->fleet.base;
    const char *pidfile = service_conf(upgrade->service)->server.pidfile;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
        log_error("upgrade: no socketpair: %s", strerror(errno));
        return -1;
    }
    event_assign(&upgrade->heard, base, fds[0], EV_READ | EV_PERSIST, on_new_heard, upgrade);
    evtimer_assign(&upgrade->timer, base, on_timer, upgrade);
    upgrade->fd = fds[0];
    pid_t pid = -1;
    if (event_add(&upgrade->heard, NULL) == 0 && (!pidfile || pidfile_retire(pidfile) == 0)) {
        pid = upgrade_exec(upgrade, fds[1]);
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

void upgrade_request(struct upgrade *upgrade)
{
    const struct service *service = upgrade->service;
    if (service->upgrade == UPGRADE_HEIR)
        log_warning("SIGUSR2: the old binary (pid %d) is still there: end it first", (int)upgrade->other);
    else if (service->upgrade != UPGRADE_ALONE)
        log_warning("SIGUSR2: an upgrade is under way: the new binary has pid %d", (int)upgrade->other);
    else if (service->state != SERVICE_RUNNING)
        log_warning("SIGUSR2: only a service that runs, and does not reload, can be upgraded");
    else if (!upgrade->program)
        log_error("SIGUSR2: no program was found as %s when this one started", upgrade->argv[0]);
    else if (begin_upgrade(upgrade) == 0) {
        set_state(upgrade, UPGRADE_BOOTING);
        set_shared(upgrade, true);
        arm(upgrade, service_conf(service)->server.boot_timeout + BOOT_EXTRA_MS);
        log_info("SIGUSR2: started %s as the new binary (pid %d)", upgrade->program, (int)upgrade->other);
    }
}

bool upgrade_child_gone(struct upgrade *upgrade, pid_t pid, int status)
{
    const struct service *service = upgrade->service;
    const char *pidfile = service_conf(service)->server.pidfile;
    char words[EXIT_WORDS];
    if (pid != upgrade->other || service->upgrade == UPGRADE_HEIR)
        return false;
    bool was_ready = service->upgrade == UPGRADE_BESIDE;
    bool stopping = service->state == SERVICE_STOPPING; /* and so the new one was told to */
    exit_words(status, false, words);
    log_at(stopping || (status == 0 && was_ready) ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
           "upgrade: the new binary (pid %d) %s%s%s", (int)pid, words, was_ready ? "" : " before it was ready",
           stopping ? "" : ": this one continues");
    close_channel(upgrade);
    set_state(upgrade, UPGRADE_ALONE);
    upgrade->other = 0;
    if (pidfile)
        pidfile_return(pidfile);
    set_shared(upgrade, false);
    upgrade->notify->quiet = false;
    upgrade->events->alone(upgrade->arg, was_ready);
    if (!was_ready && !stopping)
        notify_send(upgrade->notify, "STATUS=the upgrade failed: the new binary %s before it was ready", words);
    return true;
}

void upgrade_stop(struct upgrade *upgrade, bool quick)
{
    if (upgrade->service->upgrade == UPGRADE_HEIR) {
        upgrade->notify->quiet = true;
    } else if (upgrade->service->upgrade == UPGRADE_BOOTING) {
        log_info("upgrade: the new binary (pid %d) is not ready and stops too", (int)upgrade->other);
        kill(upgrade->other, quick ? SIGQUIT : SIGTERM);
        arm(upgrade, STOP_MS);
        set_shared(upgrade, false);
    }
}

bool upgrade_holds_the_end(const struct upgrade *upgrade)
{
    return upgrade->service->upgrade == UPGRADE_BOOTING;
}
