/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_in.c: the reading half of a connection: bytes from the socket to the protocol. Edge-triggered: whoever stops
 * before the socket is empty must set conn->readable and make sure that it is looked at again. */
#include <errno.h>
#include <event2/event.h>
#include <poll.h>

#include "common/scoreboard.h"
#include "common/likely.h"
#include "common/timers.h"
#include "worker/net/conn_priv.h"

/* Full buffers read from one connection before others get their turn. */
#define READ_ROUNDS 4
/* How long a reset may stay unseen, once or twice. */
#define DOUBT_US 20000

/* Gives bytes to the protocol; to the next one too if the protocol changes on the way. Returns how many were used. */
static size_t offer(struct conn *c, char *p, size_t n)
{
    const struct proto_ops *proto = c->proto;
    size_t used = proto->on_data(c, p, n);
    while (unlikely(c->proto != proto) && c->state == CONN_OPEN && used < n) {
        proto = c->proto;
        used += proto->on_data(c, p + used, n - used);
    }
    return used;
}

static void offer_kept(struct conn *c)
{
    size_t n = buf_len(&c->in);
    size_t used = offer(c, c->in.p + c->in.start, n);
    if (c->state != CONN_OPEN)
        return;
    buf_take(&c->in, used);
    if (used == n)
        buf_release(&c->in);
    conn_weigh(c);
}

static void keep(struct conn *c, const char *p, size_t n)
{
    if (buf_add(&c->in, p, n) < 0)
        conn_die(c, CONN_END_ABORTED);
    else if (unlikely(!conn_may_keep_input(c)))
        conn_too_much(c);
}

static void deliver(struct conn *c, char *p, size_t n)
{
    if (likely(!buf_len(&c->in))) {
        size_t used = offer(c, p, n);
        if (likely(used == n) || c->state != CONN_OPEN)
            return;
        keep(c, p + used, n - used);
        return;
    }
    keep(c, p, n);
    if (likely(c->state == CONN_OPEN))
        offer_kept(c);
}

static void read_ended(struct conn *c, ssize_t n)
{
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (errno == EINTR)
            conn_again(c);
        return;
    }
    if (n < 0) {
        conn_die(c, CONN_END_RESET);
        return;
    }
    c->peer_eof = true;
    c->proto->on_eof(c);
}

static void settle_doubts_soon(struct net *net)
{
    static const struct timeval soon = { .tv_usec = DOUBT_US };
    if (!evtimer_pending(&net->doubt_event, NULL))
        timer_add(&net->doubt_event, &soon);
}

/* Libevent does not report a reset that came together with bytes (it shows EPOLLERR as readable), and there is no second
 * edge. A write shows it, and most often the answer is written soon; otherwise the error has to be fetched by
 * reading to the end. Doing that at once would cost every request whose application waits a read and a turn of the loop. */
static void doubt(struct conn *c)
{
    if (c->doubt_age)
        return;
    c->doubt_age = 1;
    SLIST_INSERT_HEAD(&c->net->doubts[0], c, doubt);
    settle_doubts_soon(c->net);
}

/* What has been in doubt for a whole period is read from. */
void conn_on_doubts(evutil_socket_t fd, short what, void *arg)
{
    struct net *net = arg;
    struct conn *c;
    while ((c = SLIST_FIRST(&net->doubts[1]))) {
        SLIST_REMOVE_HEAD(&net->doubts[1], doubt);
        c->doubt_age = 0;
        if (c->wrote || c->state != CONN_OPEN)
            continue;
        c->readable = true;
        if (!c->paused)
            conn_again(c);
    }
    while ((c = SLIST_FIRST(&net->doubts[0]))) {
        SLIST_REMOVE_HEAD(&net->doubts[0], doubt);
        c->doubt_age = 0;
        if (c->wrote || c->state != CONN_OPEN)
            continue;
        c->doubt_age = 2;
        SLIST_INSERT_HEAD(&net->doubts[1], c, doubt);
    }
    if (!SLIST_EMPTY(&net->doubts[1]))
        settle_doubts_soon(net);
}

/* As conn_again(), but net_turn() comes first: libevent runs what becomes active in the same turn. */
static void next_turn(struct conn *c)
{
    if (c->again_queued)
        return;
    c->again_queued = true;
    SLIST_INSERT_HEAD(&c->net->again, c, again);
}

static char *room_for_input(struct conn *c, size_t *n)
{
    char *to = c->proto->room && !buf_len(&c->in) ? c->proto->room(c, n) : NULL;
    if (likely(!to)) {
        *n = c->net->scratch_size;
        return c->net->scratch;
    }
    return to;
}

static void read_on(struct conn *c)
{
    struct net *net = c->net;
    c->readable = false;
    if (unlikely(c->peer_eof))
        return;
    if (unlikely(memory_turn_is_full(&net->memory))) {
        c->readable = true;
        next_turn(c);
        return;
    }
    for (int round = 0; round < READ_ROUNDS; round++) {
        size_t most;
        char *to = room_for_input(c, &most);
        ssize_t n = c->transport->read(c, to, most);
        if (unlikely(n <= 0)) {
            c->readable = n < 0 && errno == EINTR;
            read_ended(c, n);
            return;
        }
        c->wrote = false;
        score_add64(&net->score->bytes_in, (uint64_t)n);
        deliver(c, to, (size_t)n);
        if (c->state != CONN_OPEN)
            return;
        bool drained = (size_t)n < most && !c->peer_hup && c->transport->short_read_drains;
        if (likely(drained)) {
            if (unlikely(!c->wrote))
                doubt(c);
            return;
        }
        if (c->paused) {
            c->readable = true;
            return;
        }
    }
    c->readable = true;
    conn_again(c);
}

/* Something happened while nothing is read: if the peer has gone for good, so has the connection. A peer that only ended
 * its sending side keeps its place after the bytes that it sent before. */
static void check_gone(struct conn *c)
{
    struct pollfd p = { .fd = c->fd };
    c->readable = true;
    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)))
        conn_die(c, CONN_END_RESET);
}

void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    if (unlikely(what & EV_CLOSED))
        c->peer_hup = true;
    if (likely(c->state == CONN_OPEN && !c->paused))
        read_on(c);
    else if (c->state == CONN_LINGERING)
        conn_linger_read(c);
    else
        check_gone(c);
}

void conn_can_read(struct conn *c)
{
    conn_on_readable(-1, EV_READ, c);
}

void conn_linger_read(struct conn *c)
{
    struct net *net = c->net;
    for (int round = 0; round < READ_ROUNDS; round++) {
        ssize_t n = c->transport->read(c, net->scratch, net->scratch_size);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || (size_t)n >= c->linger_left) {
            conn_die(c, CONN_END_CLOSED);
            return;
        }
        c->linger_left -= (uint32_t)n;
    }
    conn_again(c);
}

void conn_again(struct conn *c)
{
    struct net *net = c->net;
    if (c->again_queued)
        return;
    c->again_queued = true;
    if (SLIST_EMPTY(&net->again))
        event_active(&net->again_event, EV_TIMEOUT, 0);
    SLIST_INSERT_HEAD(&net->again, c, again);
}

static void look_again(struct conn *c)
{
    if (c->state == CONN_LINGERING)
        conn_linger_read(c);
    if (c->state == CONN_FLUSHING || (c->state == CONN_OPEN && c->file_left))
        conn_on_writable(c->fd, EV_WRITE, c);
    if (c->state == CONN_OPEN && buf_len(&c->in))
        offer_kept(c);
    if (c->state == CONN_OPEN && c->readable && !c->paused)
        read_on(c);
}

void conn_on_again(evutil_socket_t fd, short what, void *arg)
{
    struct net *net = arg;
    struct conn_again queued = net->again;
    SLIST_INIT(&net->again);
    struct conn *c;
    while ((c = SLIST_FIRST(&queued))) {
        SLIST_REMOVE_HEAD(&queued, again);
        c->again_queued = false;
        look_again(c);
    }
}

void conn_pause(struct conn *c)
{
    c->paused = true;
}

void conn_resume(struct conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (buf_len(&c->in) || c->readable)
        conn_again(c);
}

void conn_replay(struct conn *c)
{
    conn_again(c);
}
