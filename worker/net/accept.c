/* SPDX-License-Identifier: BSD-3-Clause */
/* accept.c: see accept.h. Listening sockets are watched level-triggered: what one worker leaves in the queue, it or
 * another one takes in its next turn.
 *
 * On shared sockets the kernel wakes one sleeping worker for a new connection, the one that has waited longest
 * (exclusive.h). A worker that has more than its share stands aside, so that the others catch up; but a connection
 * that no worker takes meanwhile, because they are busy, hang or have died, is taken all the same.
 */
#include "worker/net/accept.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/descriptors.h"
#include "common/fatal.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "common/heritage.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/net/conn.h"
#include "worker/net/exclusive.h"
#include "worker/net/share.h"

/* Connections taken from one socket in a turn. Several workers take few each, so that the load spreads. */
#define BATCH_ALONE 64
#define BATCH_SHARED 8
#define STARVED_US 200000
#define COMPLAIN_NS 10000000000u /* a shortage that lasts is logged again */
/* Aside: how often to see whether the others have caught up, and after how many looks to take what still waits. */
#define ASIDE_US 1000
#define ASIDE_LOOKS 5

enum accept_state {
    ACCEPT_OPEN,
    ACCEPT_ASIDE,   /* above its share: watches nothing; timer */
    ACCEPT_WATCHES, /* above its share, and nothing waits: woken by any connection, it stands aside again */
    ACCEPT_FULL,    /* at worker_connections */
    ACCEPT_STARVED, /* out of descriptors or memory; timer */
    ACCEPT_HELD,    /* acceptor_hold() */
    ACCEPT_STOPPED,
};

struct door {
    struct acceptor *acceptor;
    const struct listener *listener;
    int fd; /* -1 once closed */
    bool own; /* else it is the seat of another worker, and ours when a connection waits there for long */
    struct event event;
    struct exclusive exclusive;
};

struct acceptor {
    struct net *net;
    const struct scoreboard *board;
    enum accept_state state;
    uint64_t complained_ns; /* when a shortage was last logged; 0: never */
    struct share share;
    unsigned looks; /* since it stands aside */
    unsigned batch; /* aside: to be taken when no other worker does */
    unsigned long events;
    unsigned untold; /* looks that found connections since the last event */
    struct event timer;
    size_t n;
    struct door doors[];
};

/* --- states --- */

static bool is_watching(enum accept_state state)
{
    return state == ACCEPT_OPEN || state == ACCEPT_WATCHES;
}

static bool has_timer(enum accept_state state)
{
    return state == ACCEPT_ASIDE || state == ACCEPT_STARVED;
}

static void watch(struct acceptor *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->doors[i].own)
            event_add(&a->doors[i].event, NULL);
}

static void unwatch(struct acceptor *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->doors[i].fd >= 0)
            event_del(&a->doors[i].event);
}

static void arm_accept_timer(struct acceptor *a, unsigned us)
{
    struct timeval pause = { .tv_usec = (suseconds_t)us };
    timer_add(&a->timer, &pause);
}

static void set_state(struct acceptor *a, enum accept_state to)
{
    enum accept_state from = a->state;
    fatal_unless(from != ACCEPT_STOPPED && from != to);
    if (is_watching(from) && !is_watching(to))
        unwatch(a);
    if (has_timer(from))
        event_del(&a->timer);
    if (is_watching(to) && !is_watching(from))
        watch(a);
    a->state = to;
    atomic_store_explicit(&a->net->score->accepting, to < ACCEPT_FULL, memory_order_relaxed);
}

static void starve(struct acceptor *a, const struct door *d, int error)
{
    uint64_t now = clock_ns();
    if (!a->complained_ns || now - a->complained_ns > COMPLAIN_NS)
        log_error("%s: cannot accept: %s; trying again", d->listener->text, strerror(error));
    else
        now = a->complained_ns;
    a->complained_ns = now;
    score_add64(&a->net->score->accept_pauses, 1);
    if (a->state == ACCEPT_STOPPED)
        return;
    if (a->state != ACCEPT_STARVED)
        set_state(a, ACCEPT_STARVED);
    arm_accept_timer(a, STARVED_US);
}

/* Last in the queue of those to be woken. */
static void queue(struct acceptor *a, struct door *d)
{
    if (d->own && exclusive_queue(&d->exclusive, d->fd) < 0)
        starve(a, d, errno);
}

static void open_doors(struct acceptor *a)
{
    set_state(a, ACCEPT_OPEN);
    for (size_t i = 0; i < a->n && a->state == ACCEPT_OPEN; i++)
        queue(a, &a->doors[i]);
}

static void stand_aside(struct acceptor *a)
{
    set_state(a, ACCEPT_ASIDE);
    a->looks = 0;
    a->batch = 1;
    arm_accept_timer(a, ASIDE_US);
}

/* --- taking --- */

/* The connection itself failed before it was taken (accept(2)): the next one may be fine. */
static bool is_peer_error(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
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
    int fd = forked_accept(d->fd, (struct sockaddr *)&peer, &n);
    if (fd < 0) {
        if (is_peer_error(errno))
            return true;
        if (errno == EBADF || errno == ENOTSOCK)
            descriptor_lost("a listening socket");
        if (errno != EAGAIN)
            starve(a, d, errno);
        return false;
    }
    conn_open(a->net, fd, d->listener, (struct sockaddr *)&peer, n);
    return true;
}

static bool is_full(const struct acceptor *a)
{
    return a->net->n_conns >= a->net->conf->server.worker_connections;
}

/* At most `most` connections; those that it `must` take come first, the others only up to its share. How many; the state
 * may have changed to FULL or STARVED. */
static unsigned take_from_door(struct acceptor *a, struct door *d, unsigned most, unsigned must)
{
    unsigned n = 0;
    while (n < most && (n < must || !share_is_passed(&a->share)) && take_one(a, d)) {
        n++;
        /* At once, and not when the next one comes: no other worker might get its event. */
        if (is_full(a)) {
            set_state(a, ACCEPT_FULL);
            break;
        }
    }
    return n;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct door *d = arg;
    struct acceptor *a = d->acceptor;
    a->events++;
    a->untold = 0;
    if (!is_watching(a->state)) /* another socket was ready in the same turn */
        return;
    share_look(&a->share);
    if (a->share.workers < 2) {
        take_from_door(a, d, BATCH_ALONE, BATCH_ALONE);
        return;
    }
    /* In the state OPEN it was perhaps the only one that was woken: it does not leave without one. */
    if (!take_from_door(a, d, BATCH_SHARED, a->state == ACCEPT_OPEN) && a->state == ACCEPT_OPEN)
        score_add64(&a->net->score->woken_in_vain, 1);
    if (!is_watching(a->state))
        return;
    if (share_is_passed(&a->share))
        stand_aside(a);
    else if (a->state == ACCEPT_WATCHES)
        open_doors(a);
    else
        queue(a, d);
}

/* The others have had their time: takes what still waits, more each time. */
static void take_what_waits(struct acceptor *a)
{
    unsigned n = 0;
    for (size_t i = 0; i < a->n && a->state == ACCEPT_ASIDE; i++)
        n += take_from_door(a, &a->doors[i], a->batch, a->batch);
    if (a->state != ACCEPT_ASIDE)
        return;
    if (!n) {
        set_state(a, ACCEPT_WATCHES);
        return;
    }
    a->batch = a->batch < BATCH_ALONE ? 2 * a->batch : BATCH_ALONE;
    arm_accept_timer(a, ASIDE_US);
}

static void look_again(struct acceptor *a)
{
    share_look(&a->share);
    if (!share_is_passed(&a->share))
        open_doors(a);
    else if (++a->looks >= ASIDE_LOOKS)
        take_what_waits(a);
    else
        arm_accept_timer(a, ASIDE_US);
}

static void on_accept_timer(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;
    if (a->state == ACCEPT_ASIDE)
        look_again(a);
    else if (is_full(a))
        set_state(a, ACCEPT_FULL);
    else
        open_doors(a);
}

/* net->on_conn_gone */
static void on_conn_gone(void *arg)
{
    struct acceptor *a = arg;
    if (a->state == ACCEPT_FULL)
        open_doors(a);
}

/* --- for hearing.c --- */

unsigned long acceptor_events(const struct acceptor *a)
{
    return a->events;
}

unsigned acceptor_untold(const struct acceptor *a)
{
    return a->untold;
}

bool acceptor_is_awaited(const struct acceptor *a)
{
    for (size_t i = 0; i < a->n && is_watching(a->state); i++) {
        struct pollfd door = { .fd = a->doors[i].own ? a->doors[i].fd : -1, .events = POLLIN };
        if (poll(&door, 1, 0) > 0 && door.revents & POLLIN)
            return true;
    }
    return false;
}

void acceptor_watch_anew(struct acceptor *a)
{
    a->untold = 0;
    if (!is_watching(a->state))
        return;
    unwatch(a);
    watch(a);
    for (size_t i = 0; i < a->n && is_watching(a->state); i++)
        queue(a, &a->doors[i]);
}

/* --- seats (reuseport) --- */

/* Every seat belongs to a worker, and every worker has one: they go round when there are fewer of the one or the other. */
static bool is_own(const struct scoreboard *board, const struct score *own, const struct listener *l)
{
    if (!l->seats || !board)
        return true;
    unsigned workers = atomic_load_explicit(&board->common->seated, memory_order_relaxed);
    unsigned seat = atomic_load_explicit(&own->seat, memory_order_relaxed);
    if (workers < l->seats)
        return workers < 2 || l->seat % workers == seat % workers;
    return seat % l->seats == l->seat;
}

/* There may be more or fewer workers than before. */
static void take_seats(struct acceptor *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct door *d = &a->doors[i];
        bool own = is_own(a->board, a->net->score, d->listener);
        if (own == d->own)
            continue;
        d->own = own;
        if (!is_watching(a->state))
            continue;
        if (own)
            event_add(&d->event, NULL);
        else
            event_del(&d->event);
    }
}

void acceptor_look(struct acceptor *a)
{
    if (a->state == ACCEPT_STOPPED)
        return;
    take_seats(a);
    unsigned n = 0;
    for (size_t i = 0; i < a->n && a->state < ACCEPT_FULL; i++)
        n += take_from_door(a, &a->doors[i], BATCH_SHARED, BATCH_SHARED);
    a->untold += n && is_watching(a->state);
}

/* --- life --- */

static bool has_seats(const struct listener *listeners, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (listeners[i].seats)
            return true;
    return false;
}

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

/* Of the listening socket: its connections inherit them (Linux), which saves the calls for each.
 * Keep-alive probes find peers that went without a word (no FIN, no RST) while a request waits for its application, when
 * no timeout of ours runs. */
static void set_options(int fd, unsigned keepalive_ms)
{
    int idle = keepalive_ms < 1000 ? 1 : (int)(keepalive_ms / 1000);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive_ms != 0); /* may have been set by who listened before us */
    if (!keepalive_ms)
        return;
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle < 4 ? 1 : idle / 4);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

struct acceptor *acceptor_new(struct net *net, const struct listener *listeners, size_t n,
                              const struct scoreboard *board)
{
    struct acceptor *a = calloc(1, sizeof *a + n * sizeof a->doors[0]);
    if (!a)
        return NULL;
    a->net = net;
    a->n = n;
    a->state = ACCEPT_OPEN;
    a->board = board;
    share_init(&a->share, has_seats(listeners, n) ? NULL : board, net->score); /* the kernel spreads them otherwise */
    event_assign(&a->timer, net->base, -1, 0, on_accept_timer, a);
    for (size_t i = 0; i < n; i++) {
        struct door *d = &a->doors[i];
        d->acceptor = a;
        d->listener = &listeners[i];
        d->fd = listeners[i].fd;
        d->own = is_own(board, net->score, d->listener);
        if (listeners[i].addr.ss_family != AF_UNIX)
            set_options(d->fd, (unsigned)net->conf->server.tcp_keepalive);
        event_assign(&d->event, net->base, d->fd, EV_READ | EV_PERSIST, on_acceptable, d);
        d->exclusive.epoll = -1;
        if (d->own && event_add(&d->event, NULL) < 0) {
            a->n = i;
            unwatch(a);
            free(a);
            return NULL;
        }
        if (d->own && !d->listener->seats)
            d->exclusive = exclusive_find(d->fd);
    }
    net->on_conn_gone = on_conn_gone;
    net->on_conn_gone_arg = a;
    atomic_store_explicit(&net->score->accepting, 1, memory_order_relaxed);
    for (size_t i = 0; i < n && a->state == ACCEPT_OPEN; i++)
        queue(a, &a->doors[i]);
    return a;
}

/* Connections that wait now have been promised an answer by the kernel. The bound is against a storm of new ones. */
static void take_waiting(struct acceptor *a, struct door *d)
{
    for (unsigned i = 0; i < a->net->conf->server.backlog && take_one(a, d); i++) {
    }
}

void acceptor_hold(struct acceptor *a, bool hold)
{
    if (a->state == ACCEPT_STOPPED || hold == (a->state == ACCEPT_HELD))
        return;
    if (hold)
        set_state(a, ACCEPT_HELD);
    else if (is_full(a))
        set_state(a, ACCEPT_FULL);
    else
        open_doors(a);
}

void acceptor_stop(struct acceptor *a)
{
    if (a->state == ACCEPT_STOPPED)
        return;
    bool held = a->state == ACCEPT_HELD;
    set_state(a, ACCEPT_STOPPED);
    for (size_t i = 0; i < a->n; i++) {
        struct door *d = &a->doors[i];
        if (d->own && !held)
            take_waiting(a, d);
        fd_close(&d->fd);
    }
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    if (is_watching(a->state))
        unwatch(a);
    event_del(&a->timer);
    a->net->on_conn_gone = NULL;
    free(a);
}
