/* accept.c: see accept.h. Listening sockets are watched level-triggered: what one worker leaves in the queue, it or
 * another one takes in its next turn. */
#include "worker/net/accept.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/heritage.h"
#include "common/log.h"
#include "conf/conf.h"
#include "worker/net/conn.h"

/* Connections taken from one socket in a turn. Several workers take few each, so that the load spreads. */
#define BATCH_ALONE 64
#define BATCH_SHARED 8
#define BACK_OFF_US 200000

struct door {
    struct acceptor *acceptor;
    const struct listener *listener;
    int fd; /* -1 once closed */
    struct event event;
};

struct acceptor {
    struct net *net;
    unsigned batch;
    bool full;      /* at worker_connections */
    bool starved;   /* out of descriptors or memory; the timer runs */
    bool complained; /* about the present shortage */
    bool stopped;
    struct event back_off;
    size_t n;
    struct door doors[];
};

static void watch(struct acceptor *a, bool on)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->doors[i].fd < 0)
            continue;
        if (on)
            event_add(&a->doors[i].event, NULL);
        else
            event_del(&a->doors[i].event);
    }
}

static void starve(struct acceptor *a, const struct door *d, int error)
{
    static const struct timeval pause = { .tv_usec = BACK_OFF_US };
    if (!a->complained)
        log_error("%s: cannot accept: %s; trying again", d->listener->text, strerror(error));
    a->complained = true;
    a->starved = true;
    watch(a, false);
    event_add(&a->back_off, &pause);
}

static void on_back_off(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;
    a->starved = false;
    if (!a->full && !a->stopped)
        watch(a, true);
}

/* The connection itself failed before it was taken (accept(2)): the next one may be fine. */
static bool is_peer_error(int error)
{
    switch (error) {
    case ECONNABORTED: case EINTR: case EPROTO: case EPERM: case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN: case ENONET:
    case EHOSTUNREACH: case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

/* Takes one connection. False: no more now. */
static bool take_one(struct acceptor *a, struct door *d)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    int fd = accept4(d->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (is_peer_error(errno))
            return true;
        if (errno != EAGAIN)
            starve(a, d, errno);
        return false;
    }
    a->complained = false;
    conn_open(a->net, fd, d->listener, (struct sockaddr *)&peer, n);
    return true;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct door *d = arg;
    struct acceptor *a = d->acceptor;
    for (unsigned i = 0; i < a->batch; i++) {
        if (a->net->n_conns >= a->net->conf->server.worker_connections) {
            a->full = true;
            watch(a, false);
            return;
        }
        if (!take_one(a, d))
            return;
    }
}

void acceptor_conn_gone(struct acceptor *a)
{
    if (!a->full || a->stopped)
        return;
    a->full = false;
    if (!a->starved)
        watch(a, true);
}

struct acceptor *acceptor_new(struct net *net, const struct listener *listeners, size_t n)
{
    struct acceptor *a = calloc(1, sizeof *a + n * sizeof a->doors[0]);
    if (!a)
        return NULL;
    a->net = net;
    a->n = n;
    a->batch = net->conf->server.workers > 1 ? BATCH_SHARED : BATCH_ALONE;
    event_assign(&a->back_off, net->base, -1, 0, on_back_off, a);
    for (size_t i = 0; i < n; i++) {
        struct door *d = &a->doors[i];
        d->acceptor = a;
        d->listener = &listeners[i];
        d->fd = listeners[i].fd;
        /* Inherited by the connections, which saves a call for each (Linux). */
        if (listeners[i].addr.ss_family != AF_UNIX)
            setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        event_assign(&d->event, net->base, d->fd, EV_READ | EV_PERSIST, on_acceptable, d);
        if (event_add(&d->event, NULL) < 0) {
            watch(a, false);
            free(a);
            return NULL;
        }
    }
    net->acceptor = a;
    return a;
}

/* Connections that wait now have been promised an answer by the kernel. The bound is against a storm of new ones. */
static void take_waiting(struct acceptor *a, struct door *d)
{
    for (unsigned i = 0; i < a->net->conf->server.backlog && !a->starved && take_one(a, d); i++) {
    }
}

void acceptor_stop(struct acceptor *a)
{
    if (a->stopped)
        return;
    a->stopped = true;
    watch(a, false);
    for (size_t i = 0; i < a->n; i++) {
        struct door *d = &a->doors[i];
        take_waiting(a, d);
        close(d->fd);
        d->fd = -1;
    }
    event_del(&a->back_off);
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    watch(a, false);
    event_del(&a->back_off);
    a->net->acceptor = NULL;
    free(a);
}
