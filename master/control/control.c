/* SPDX-License-Identifier: BSD-3-Clause */
/* control.c: the socket: its path, its mode, who may connect. Must never let a
 * client hold up the master: everything is non-blocking and bounded. */
#include "master/control/control.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/fdutil.h"
#include "common/json_out.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/control/control_priv.h"
#include "master/listen/listen.h"
#include "master/service.h"
#include "master/system/privs.h"

#define BACKLOG 128
#define MOST_GROUPS 1024
#define PAUSE_MS 500L /* without descriptors */
#define REFUSED_MS 1000 /* between two lines about peers that were refused */

/* --- who --- */

/* Whether the process that connected was in the group (unix(7), SO_PEERGROUPS); false as well if there are more groups than
 * anyone has. */
static bool is_in_group(int fd, const struct ucred *peer, gid_t group)
{
    gid_t groups[MOST_GROUPS];
    socklen_t n = sizeof(groups);
    if (peer->gid == group)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) < 0)
        return false;
    for (size_t i = 0; i < n / sizeof(*groups); i++)
        if (groups[i] == group)
            return true;
    return false;
}

/* Root, whom the master runs as, and members of control.group; the mode of the file comes before. */
static bool may_speak(const struct control *control, int fd, const struct ucred *peer)
{
    return peer->uid == 0 || peer->uid == geteuid() || (control->has_group && is_in_group(fd, peer, control->group));
}

/* 0, or -1 logged. */
static int find_group(const struct conf_control *conf, bool *ret_has, gid_t *ret)
{
    *ret_has = conf->group != NULL;
    if (!conf->group || privs_find_group(conf->group, ret) == 0)
        return 0;
    log_critical("control.group: no group is called %s", conf->group);
    return -1;
}

/* Anybody who may open the file can come as often as he likes: a line a second is enough. */
static void log_refused(struct control *control, const struct ucred *peer)
{
    uint64_t now = clock_ms();
    control->n_refused++;
    if (control->refused_ms && now - control->refused_ms < REFUSED_MS)
        return;
    log_warning("control: refused process %d of user %u (%llu refused so far)", (int)peer->pid, (unsigned)peer->uid,
                (unsigned long long)control->n_refused);
    control->refused_ms = now;
}

static void welcome(struct control *control, int fd)
{
    static const char busy[] = "{\"ok\":false,\"error\":\"too many clients\"}\n";
    static const char refused[] = "{\"ok\":false,\"error\":\"only root, the user of the master and "
                                  "control.group may use the control socket\"}\n";
    struct ucred peer = { .pid = 0, .uid = (uid_t)-1 };
    socklen_t n = sizeof(peer);
    const char *why = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || !may_speak(control, fd, &peer)) {
        why = refused;
        log_refused(control, &peer);
    } else if (control->n_clients >= CONTROL_CLIENTS_MAX) {
        why = busy;
    }
    if (!why) {
        control_client_open(control, fd, peer.pid, peer.uid, control_do);
        return;
    }
    if (send(fd, why, strlen(why), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("control: a client that was refused did not hear why: %s", strerror(errno));
    close(fd);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval pause = { .tv_usec = PAUSE_MS * 1000 };
    struct control *control = arg;
    // cppcheck-suppress nullPointer ; accept(2) takes it
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
        welcome(control, client);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        log_warning("control: cannot accept: %s", strerror(errno));
        event_del(&control->acceptable);
        event_add(&control->pause, &pause);
    }
}

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
    struct control *control = arg;
    if (control->listeners.n)
        event_add(&control->acceptable, NULL);
}

/* --- the socket --- */

/* 0, or -1 logged. */
static int open_socket(struct listeners *to, const struct conf_control *conf)
{
    static const struct privs none = { 0 };
    char text[sizeof("unix:") + 128];
    snprintf(text, sizeof(text), "unix:%s", conf->socket);
    const struct conf_bind bind = { .kind = CONF_BIND_UNIX, .text = text, .path = conf->socket };
    const struct conf_server like = { .socket_mode = conf->mode, .socket_group = conf->group, .backlog = BACKLOG };
    if (listen_unix(to, &bind, &like, &none) == 0)
        return 0;
    log_critical("control.socket %s cannot be opened", conf->socket);
    listeners_done(to);
    return -1;
}

static int watch(struct control *control)
{
    if (!control->listeners.n)
        return 0;
    return event_assign(&control->acceptable, control->service->fleet.base, control->listeners.v[0].fd,
                        EV_READ | EV_PERSIST, on_acceptable, control) < 0 ||
                   event_add(&control->acceptable, NULL) < 0
               ? -1
               : 0;
}

static void unwatch(struct control *control)
{
    if (event_initialized(&control->acceptable))
        event_del(&control->acceptable);
    if (event_initialized(&control->pause))
        event_del(&control->pause);
}

/* 0, or -1 logged. */
static int open_and_watch(struct control *control)
{
    if (open_socket(&control->listeners, &service_conf(control->service)->control) < 0)
        return -1;
    if (watch(control) == 0)
        return 0;
    log_critical("control.socket: out of memory");
    listeners_done(&control->listeners);
    return -1;
}

int control_open(struct control *control, const struct service *service, struct fleet *fleet,
                 const struct orders *orders, void *orders_arg)
{
    control->service = service;
    control->fleet = fleet;
    control->orders = orders;
    control->orders_arg = orders_arg;
    TAILQ_INIT(&control->clients);
    evtimer_assign(&control->pause, fleet->base, on_pause, control);
    control->mode = service_conf(control->service)->control.mode;
    if (find_group(&service_conf(control->service)->control, &control->has_group, &control->group) < 0)
        return -1;
    /* A new binary takes the path when it is ready, not before. */
    if (!service_conf(control->service)->control.socket || control->service->upgrade == UPGRADE_HEIR)
        return 0;
    return open_and_watch(control);
}

void control_take_over(struct control *control)
{
    const char *path = service_conf(control->service)->control.socket;
    if (!path || control->listeners.n)
        return;
    struct stat st;
    if (control->service->upgrade == UPGRADE_HEIR && path[0] != '@' && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        unlink(path) < 0)
        log_error("control.socket %s: %s", path, strerror(errno));
    if (open_and_watch(control) < 0)
        log_error("control.socket: tinectl does not reach this binary");
}

void control_take_back(struct control *control)
{
    if (!service_conf(control->service)->control.socket || control->service->state == SERVICE_STOPPING)
        return;
    unwatch(control);
    listeners_done(&control->listeners);
    if (open_and_watch(control) < 0)
        log_error("control.socket: tinectl does not reach this binary");
}

void control_close(struct control *control)
{
    if (!control->clients.tqh_last) /* it was never opened */
        return;
    unwatch(control);
    control_rollback(control);
    while (!TAILQ_EMPTY(&control->clients))
        control_client_leave(TAILQ_FIRST(&control->clients));
    listeners_done(&control->listeners);
}

/* --- reload --- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int control_prepare(struct control *control, const struct conf *next)
{
    if (find_group(&next->control, &control->next_has_group, &control->next_group) < 0)
        return -1;
    if (same_text(service_conf(control->service)->control.socket, next->control.socket))
        return 0;
    control->prepared = true;
    if (!next->control.socket || open_socket(&control->next, &next->control) == 0)
        return 0;
    control->prepared = false;
    return -1;
}

void control_rollback(struct control *control)
{
    if (control->prepared)
        listeners_done(&control->next);
    control->prepared = false;
}

/* Of the socket that we made and of nothing that took its place: 0, or -1 with errno. */
static int change_file(const struct listeners *listeners, const struct conf_control *conf, gid_t group)
{
    char link[32];
    struct stat st;
    int fd = open(conf->socket, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = -1;
    if (fd >= 0 && fstat(fd, &st) == 0) {
        const struct listen_file *ours = listeners->files;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        errno = EEXIST;
        if (listeners->n_files && st.st_dev == ours->dev && st.st_ino == ours->ino)
            rc = fchownat(fd, "", (uid_t)-1, group, AT_EMPTY_PATH) < 0 ? -1 : chmod(link, conf->mode);
    }
    fd_close(&fd);
    return rc;
}

/* The present configuration is that of the reload already. */
void control_commit(struct control *control)
{
    const struct conf_control *conf = &service_conf(control->service)->control;
    bool same = conf->mode == control->mode && control->has_group == control->next_has_group &&
                (!control->has_group || control->group == control->next_group);
    control->has_group = control->next_has_group;
    control->group = control->next_group;
    if (control->prepared) {
        unwatch(control);
        listeners_replace(&control->listeners, &control->next);
        control->listeners = control->next;
        control->next = (struct listeners){ 0 };
        control->prepared = false;
        if (watch(control) < 0)
            log_error("control.socket: out of memory: tinectl does not reach this service");
        else if (conf->socket)
            log_info("control socket is %s", conf->socket);
    } else if (conf->socket && conf->socket[0] != '@' && !same &&
               change_file(&control->listeners, conf, control->has_group ? control->group : getegid()) < 0) {
        log_error("control.mode, control.group: %s: %s", conf->socket, strerror(errno));
    }
    control->mode = conf->mode;
}

/* --- those who wait for one --- */

/* Keys, a line each. */
static void write_kept(const char *kept, struct json_out *j)
{
    json_array(j, "restart");
    for (const char *p = kept; *p;) {
        size_t n = strcspn(p, "\n");
        json_text(j, NULL, p, n);
        p += n + (p[n] == '\n');
    }
    json_end_array(j);
}

static void answer_reload(struct control_client *client)
{
    const struct service *service = client->control->service;
    if (service->reload.last_failed) {
        const char *error = service->reload.error;
        control_answer_error(client, error ? error : "out of memory");
        return;
    }
    struct control_answer answer;
    struct json_out *j = control_answer_begin(&answer, true);
    json_uint(j, "generation", service->fleet.current->number);
    json_uint(j, "workers", slots_ready(&service->fleet.slots, service->fleet.current));
    if (service->reload.kept)
        write_kept(service->reload.kept, j);
    control_answer_end(&answer, client);
}

void control_reload_ended(struct control *control)
{
    struct control_client *client;
    TAILQ_FOREACH (client, &control->clients, link)
        if (client->waits == CONTROL_WAIT_RELOAD && client->reload <= control->service->reload.begun)
            answer_reload(client);
}

void control_reload_cancelled(struct control *control)
{
    struct control_client *client;
    TAILQ_FOREACH (client, &control->clients, link)
        if (client->waits == CONTROL_WAIT_RELOAD)
            control_answer_error(client, "the service stops");
}
