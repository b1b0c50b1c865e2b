/* SPDX-License-Identifier: BSD-3-Clause */
/* conn.c: life and death of connections: the only place that closes and frees. See conn.h. */
#include "worker/net/conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/clock.h"
#include "common/descriptors.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "common/heritage.h"
#include "common/log.h"
#include "common/plural.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/net/conn_limit.h"
#include "worker/net/conn_priv.h"

#define SCRATCH_SIZE (64u << 10)
#define LINGER_MS 2000
#define WARN_MS 10000

int net_init(struct net *net, struct event_base *base, const struct conf *conf, struct score *score)
{
    int needed = EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE;
    if ((event_base_get_features(base) & needed) != needed) {
        errno = ENOTSUP;
        return -1;
    }
    memset(net, 0, sizeof *net);
    net->scratch_size = SCRATCH_SIZE;
    if (!(net->scratch = malloc(SCRATCH_SIZE)))
        return -1;
    net->base = base;
    net->conf = conf;
    net->score = score;
    TAILQ_INIT(&net->conns);
    conn_memory_init(net);
    event_assign(&net->again_event, base, -1, 0, conn_on_again, net);
    evtimer_assign(&net->doubt_event, base, conn_on_doubts, net);
    wheel_init(&net->wheel, base);
    return 0;
}

static void sweep_one(struct net *net, struct conn *c)
{
    if (c->proto)
        c->proto->on_close(c, (enum conn_end)c->end);
    if (c->flush_queued)
        SLIST_REMOVE(&net->flush, c, conn, flush);
    if (c->again_queued)
        SLIST_REMOVE(&net->again, c, conn, again);
    if (c->doubt_age)
        SLIST_REMOVE(&net->doubts[c->doubt_age - 1], c, conn, doubt);
    TAILQ_REMOVE(&net->conns, c, all);
    conn_limit_end(c);
    buf_release(&c->in);
    buf_release(&c->out);
    c->lent.n = 0;
    conn_weigh(c);
    assert(!c->share.held && !c->share.lent);
    free(c);
    net->n_conns--;
    score_add32(&net->score->connections, -1);
    if (net->on_conn_gone)
        net->on_conn_gone(net->on_conn_gone_arg);
}

static void sweep(struct net *net)
{
    struct conn *c;
    while ((c = SLIST_FIRST(&net->dead))) {
        SLIST_REMOVE_HEAD(&net->dead, dead);
        sweep_one(net, c);
    }
    if (!net->n_conns && net->on_empty) {
        void (*fn)(void *) = net->on_empty;
        net->on_empty = NULL;
        fn(net->on_empty_arg);
    }
}

static void turn_ends(struct net *net)
{
    struct conn_flush queued = net->flush;
    SLIST_INIT(&net->flush);
    struct conn *c;
    while ((c = SLIST_FIRST(&queued))) {
        SLIST_REMOVE_HEAD(&queued, flush);
        c->flush_queued = false;
        if (c->state == CONN_OPEN && c->proto->on_turn_end)
            c->proto->on_turn_end(c);
        conn_flush(c);
    }
}

void net_gather(void *net)
{
    ((struct net *)net)->gathers = true;
}

void net_leave(void *net)
{
    ((struct net *)net)->gathers = false;
    turn_ends(net);
}

bool net_is_full(void *net)
{
    return memory_turn_is_full(&((const struct net *)net)->memory);
}

/* --- too much is kept (memory.h) --- */

static size_t all_of(const struct conn *c)
{
    return c->share.held + c->share.lent;
}

/* Answers are on their way out of a connection that closes: they are not waited for. */
void conn_too_much(struct conn *c)
{
    if (c->state == CONN_OPEN && c->proto->on_too_much)
        c->proto->on_too_much(c);
    else
        conn_die(c, CONN_END_ABORTED);
    if (c->state != CONN_DEAD && all_of(c) > c->net->memory.small)
        conn_die(c, CONN_END_ABORTED);
}

static void warn(struct net *net)
{
    uint64_t now = clock_ms();
    if (net->warned_ms && now - net->warned_ms < WARN_MS)
        return;
    net->warned_ms = now;
    log_warning("http.limit_memory is reached: %llu KB are kept for %u connection%s, the limit is %llu KB: those with "
                "the most are ended",
                (unsigned long long)((net->memory.held + net->memory.lent) >> 10), net->n_conns, plural(net->n_conns),
                (unsigned long long)(net->memory.limit >> 10));
}

static size_t largest(const struct net *net)
{
    const struct conn *c;
    size_t most = 0;
    TAILQ_FOREACH (c, &net->conns, all) {
        if (c->state != CONN_DEAD && all_of(c) > most)
            most = all_of(c);
    }
    return most;
}

/* Those with more than half of what the largest has go until there is room, then those with more than a quarter, ...: few
 * walks for many connections. */
static void make_room(struct net *net)
{
    struct memory *m = &net->memory;
    warn(net);
    size_t going = 0; /* the dead hold it until they are swept */
    for (size_t most; !memory_has_room(m, going) && (most = largest(net)) > m->small;) {
        struct conn *c;
        TAILQ_FOREACH (c, &net->conns, all) {
            if (c->state == CONN_DEAD || all_of(c) <= m->small || all_of(c) <= most / 2)
                continue;
            score_add64(&net->score->memory_refused, 1);
            conn_too_much(c);
            going += c->state == CONN_DEAD ? all_of(c) : 0;
            if (memory_has_room(m, going))
                break;
        }
    }
    memory_made_room(m, going);
}

/* --- the turn of the loop --- */

void net_turn(struct net *net)
{
    turn_ends(net);
    if (!SLIST_EMPTY(&net->flush)) /* what came out of an inner connection */
        turn_ends(net);
    if (!SLIST_EMPTY(&net->dead))
        sweep(net);
    if (unlikely(memory_is_busy(&net->memory)) && memory_wants_room(&net->memory)) {
        make_room(net);
        sweep(net);
    }
    memory_turn(&net->memory);
    if (unlikely(memory_wants_trim(&net->memory)))
        conn_trim_soon(net);
    /* Whatever a callback deferred meanwhile must not wait for an event from outside. */
    if (!SLIST_EMPTY(&net->flush) || unlikely(!SLIST_EMPTY(&net->again)))
        event_active(&net->again_event, EV_TIMEOUT, 0);
}

void net_shutdown(struct net *net)
{
    struct conn *c;
    net->draining = true;
    TAILQ_FOREACH (c, &net->conns, all) {
        if (c->state == CONN_OPEN)
            c->proto->on_shutdown(c);
    }
}

void net_cut(struct net *net)
{
    struct conn *c, *next;
    for (c = TAILQ_FIRST(&net->conns); c; c = next) {
        next = TAILQ_NEXT(c, all);
        if (c->state == CONN_OPEN && c->proto->on_cut)
            c->proto->on_cut(c);
        else
            conn_abort(c, false);
    }
}

void net_on_empty(struct net *net, void (*fn)(void *arg), void *arg)
{
    net->on_empty = fn;
    net->on_empty_arg = arg;
    if (!net->n_conns)
        sweep(net);
}

void net_done(struct net *net)
{
    struct conn *c;
    net->draining = true;
    TAILQ_FOREACH (c, &net->conns, all)
        conn_die(c, CONN_END_SHUTDOWN);
    sweep(net);
    assert(TAILQ_EMPTY(&net->conns));
    event_del(&net->again_event);
    event_del(&net->doubt_event);
    deadline_done(&net->wheel, &net->trim);
    wheel_done(&net->wheel);
    free(net->scratch);
    net->scratch = NULL;
}

void conn_at_turn_end(struct conn *c)
{
    struct net *net = c->net;
    if (c->flush_queued)
        return;
    c->flush_queued = true;
    SLIST_INSERT_HEAD(&net->flush, c, flush);
}

void conn_count_left(struct conn *c, int change)
{
    c->n_left += (unsigned)change;
    if (change < 0 && c->state == CONN_OPEN)
        conn_at_turn_end(c);
}

static void on_deadline(struct deadline *d)
{
    struct conn *c = (struct conn *)(void *)((char *)d - offsetof(struct conn, deadline));
    if (c->state == CONN_OPEN)
        c->proto->on_deadline(c);
    else if (c->state == CONN_LINGERING)
        conn_die(c, CONN_END_CLOSED);
}

static void on_write_deadline(struct deadline *d)
{
    struct conn *c = (struct conn *)(void *)((char *)d - offsetof(struct conn, write_deadline));
    if (conn_progress_late(c))
        conn_die(c, CONN_END_RESET);
}

static void copy_addr(union conn_addr *to, const struct sockaddr *from)
{
    switch (from->sa_family) {
    case AF_INET:
        memcpy(&to->in4, from, sizeof to->in4);
        break;
    case AF_INET6:
        memcpy(&to->in6, from, sizeof to->in6);
        break;
    default:
        to->sa.sa_family = AF_UNIX;
    }
}

static bool is_wildcard(const struct listener *l)
{
    const struct sockaddr *sa = (const struct sockaddr *)&l->addr;
    if (sa->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr == INADDR_ANY;
    return sa->sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

static void set_addresses(struct conn *c, const struct sockaddr *peer)
{
    const struct listener *l = c->listener;
    if (l->addr.ss_family == AF_UNIX) {
        c->peer.sa.sa_family = c->local.sa.sa_family = AF_UNIX;
        return;
    }
    copy_addr(&c->peer, peer);
    copy_addr(&c->local, (const struct sockaddr *)&l->addr);
    struct sockaddr_storage local;
    socklen_t n = sizeof local;
    if (is_wildcard(l) && getsockname(c->fd, (struct sockaddr *)&local, &n) == 0)
        copy_addr(&c->local, (struct sockaddr *)&local);
}

static void conn_begin(struct conn *c, struct net *net, int fd)
{
    c->fd = fd;
    c->file_fd = -1;
    c->net = net;
    deadline_init(&c->deadline, on_deadline);
    deadline_init(&c->write_deadline, on_write_deadline);
    event_assign(&c->read_event, net->base, fd, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, conn_on_readable, c);
    event_assign(&c->write_event, net->base, fd, EV_WRITE | EV_ET | EV_PERSIST, conn_on_writable, c);
}

static void count_in(struct net *net, struct conn *c)
{
    TAILQ_INSERT_TAIL(&net->conns, c, all);
    net->n_conns++;
    score_add32(&net->score->connections, 1);
}

struct conn *conn_open_inner(struct conn *outer, const struct transport_ops *transport, void *transport_data,
                             const struct proto_ops *proto, void *proto_data)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    conn_begin(c, outer->net, -1);
    c->listener = outer->listener;
    c->transport = transport;
    c->transport_data = transport_data;
    c->proto = proto;
    c->proto_data = proto_data;
    c->peer = outer->peer;
    c->local = outer->local;
    c->sized = true;
    count_in(outer->net, c);
    return c;
}

struct conn *conn_open(struct net *net, int fd, const struct listener *listener, const struct sockaddr *peer,
                       socklen_t peer_len)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        fd_close(&fd);
        return NULL;
    }
    conn_begin(c, net, fd);
    c->listener = listener;
    c->transport = &transport_tcp;
    set_addresses(c, peer);
    c->proto = net->choose_proto(c);
    if ((!listener->proxy && conn_limit_begin(c) < 0) || event_add(&c->read_event, NULL) < 0 || c->proto->open(c) < 0) {
        event_del(&c->read_event);
        deadline_done(&net->wheel, &c->deadline);
        conn_limit_end(c);
        fd_close(&fd);
        free(c);
        return NULL;
    }
    count_in(net, c);
    score_add64(&net->score->accepted, 1);
    return c;
}

void conn_set_deadline(struct conn *c, uint64_t ms)
{
    if (c->state == CONN_OPEN)
        deadline_set(&c->net->wheel, &c->deadline, ms);
}

void conn_no_deadline(struct conn *c)
{
    if (c->state == CONN_OPEN)
        deadline_clear(&c->deadline);
}

void conn_set_proto(struct conn *c, const struct proto_ops *proto)
{
    c->proto = proto;
}

void conn_die(struct conn *c, enum conn_end why)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    c->end = (uint8_t)why;
    event_del(&c->read_event);
    event_del(&c->write_event);
    deadline_done(&c->net->wheel, &c->deadline);
    deadline_done(&c->net->wheel, &c->write_deadline);
    if (c->transport->done)
        c->transport->done(c);
    if (c->fd >= 0 && forked_close(c->fd) < 0 && errno == EBADF)
        descriptor_lost("a client's connection");
    c->fd = -1;
    SLIST_INSERT_HEAD(&c->net->dead, c, dead);
}

int conn_lend(struct conn *c)
{
    int fd = c->fd;
    assert(c->state == CONN_OPEN && !conn_unsent(c) && c->transport == &transport_tcp);
    event_del(&c->read_event);
    /* What still waits for writability is signalled by hand (event_active), never by the descriptor, which may be another's
     * before we know. */
    event_assign(&c->write_event, c->net->base, -1, EV_WRITE | EV_PERSIST, conn_on_writable, c);
    c->fd = -1;
    c->paused = true; /* nothing is read here any more */
    return fd;
}

/* Bytes that we have not read make close(2) send a RST, which may destroy the answer before the peer has read it. */
static bool may_have_unread(const struct conn *c)
{
    int waiting = 0;
    return c->linger || c->readable || buf_len(&c->in) || (ioctl(c->fd, FIONREAD, &waiting) == 0 && waiting > 0);
}

void conn_flushed(struct conn *c)
{
    if (c->peer_eof || !may_have_unread(c)) {
        conn_die(c, CONN_END_CLOSED);
        return;
    }
    c->state = CONN_LINGERING;
    buf_release(&c->in);
    conn_weigh(c);
    c->linger_left = CONN_LINGER_MAX;
    c->transport->shutdown(c);
    deadline_set(&c->net->wheel, &c->deadline, LINGER_MS);
    conn_again(c);
}

void conn_close(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    conn_flush(c);
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_FLUSHING;
    deadline_clear(&c->deadline);
    if (!conn_unsent(c))
        conn_flushed(c);
}

void conn_abort(struct conn *c, bool reset)
{
    if (c->state == CONN_DEAD)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    conn_die(c, CONN_END_ABORTED);
}
