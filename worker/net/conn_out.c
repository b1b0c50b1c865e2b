/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_out.c: the writing half of a connection: tried at once, kept when the socket is full, written on when it is
 * not. Never waits for writability before it has tried. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <event2/event.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/least.h"
#include "common/likely.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/net/conn_priv.h"

/* By the coarse clock, which is read for every piece: 5 ms, or up to the tick after them. */
#define DEFER_NS (5ul * 1000 * 1000)
#define FILE_PIECE (512u << 10)
#define LOCAL_SEND_BUFFER (256 << 10)
#define FILE_ROUNDS 4
#define MAX_IOV 8

uint64_t conn_unsent(const struct conn *c)
{
    return buf_len(&c->out) + c->lent.n + c->n_behind + c->file_left;
}

void conn_wait_writable(struct conn *c)
{
    conn_weigh(c);
    if (c->writing)
        return;
    if (event_add(&c->write_event, NULL) < 0) {
        conn_die(c, CONN_END_ABORTED);
        return;
    }
    c->writing = true;
    conn_progress_begin(c);
}

static void stop_waiting(struct conn *c)
{
    if (!c->writing)
        return;
    event_del(&c->write_event);
    c->writing = false;
    conn_progress_end(c);
}

static enum sent verdict(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return GONE;
    if (likely(!c->file_left && !c->lent.n && buf_len(&c->out) <= CONN_HIGH_MARK))
        return SENT;
    c->over_high = true;
    return LATER;
}

/* The bytes wait for the socket: counts them. */
static enum sent weigh_unsent(struct conn *c)
{
    conn_weigh(c);
    return verdict(c);
}

/* Keeps what follows the first `skip` bytes of v. 0, or -1: out of memory, the connection is dead. */
static int keep_unsent(struct conn *c, const struct iovec *v, int n, size_t skip)
{
    for (int i = 0; i < n; i++) {
        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        if (buf_add(&c->out, (const char *)v[i].iov_base + skip, v[i].iov_len - skip) < 0) {
            conn_die(c, CONN_END_ABORTED);
            return -1;
        }
        skip = 0;
    }
    return 0;
}

void conn_own(struct conn *c)
{
    struct iovec v[] = { { (void *)(uintptr_t)c->lent.p, c->lent.n }, { c->behind, c->n_behind } };
    c->lent = (struct span){ NULL, 0 };
    c->n_behind = 0;
    if (c->state == CONN_DEAD)
        return;
    (void)!keep_unsent(c, v, 2, 0);
    conn_weigh(c);
}

static size_t length_of(const struct iovec *v, int n)
{
    size_t all = 0;
    for (int i = 0; i < n; i++)
        all += v[i].iov_len;
    return all;
}

/* Bytes written; 0 when the socket is full; -1: the connection is dead. */
static ssize_t try_write(struct conn *c, const struct iovec *v, int n)
{
    ssize_t k = c->transport->writev(c, v, n);
    c->wrote = true;
    if (likely(k >= 0)) {
        score_add64(&c->net->score->bytes_out, (uint64_t)k);
        return k;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    conn_die(c, CONN_END_RESET);
    return -1;
}

/* Like keep_unsent(), but v[lent] is only noted, unless little of it is left. */
static int keep_lent(struct conn *c, const struct iovec *v, int n, int lent, size_t skip)
{
    size_t before = length_of(v, lent), whole = v[lent].iov_len;
    size_t sent = skip > before ? skip - before : 0;
    if (sent + CONN_LOW_MARK >= whole)
        return keep_unsent(c, v, n, skip);
    if (keep_unsent(c, v, lent, skip) < 0)
        return -1;
    c->lent = (struct span){ (const char *)v[lent].iov_base + sent, whole - sent };
    for (int i = lent + 1; i < n; i++) {
        assert(c->n_behind + v[i].iov_len <= CONN_BEHIND_MAX);
        memcpy(c->behind + c->n_behind, v[i].iov_base, v[i].iov_len);
        c->n_behind += (uint8_t)v[i].iov_len;
    }
    return 0;
}

/* Bytes of a deferred write and new ones leave together. */
static enum sent write_behind(struct conn *c, const struct iovec *v, int n)
{
    struct iovec all[MAX_IOV + 1];
    size_t waiting = buf_len(&c->out);
    assert(n <= MAX_IOV);
    all[0] = (struct iovec){ c->out.p + c->out.start, waiting };
    memcpy(all + 1, v, (size_t)n * sizeof *v);
    ssize_t k = try_write(c, all, n + 1);
    if (k < 0)
        return GONE;
    size_t sent = (size_t)k;
    c->deferred_since_ns = 0;
    if (sent == waiting + length_of(v, n)) {
        buf_release(&c->out);
        return unlikely(c->buffers) ? weigh_unsent(c) : verdict(c);
    }
    buf_take(&c->out, sent < waiting ? sent : waiting);
    if (keep_unsent(c, v, n, sent > waiting ? sent - waiting : 0) < 0)
        return GONE;
    conn_wait_writable(c);
    return verdict(c);
}

enum sent conn_writev(struct conn *c, const struct iovec *v, int n)
{
    if (unlikely(c->state != CONN_OPEN))
        return GONE;
    assert(!c->file_left);
    if (unlikely(c->lent.n))
        conn_own(c);
    if (c->writing)
        return keep_unsent(c, v, n, 0) < 0 ? GONE : weigh_unsent(c);
    if (buf_len(&c->out))
        return write_behind(c, v, n);
    ssize_t k = try_write(c, v, n);
    if (unlikely(k < 0))
        return GONE;
    if (likely((size_t)k == length_of(v, n)))
        return SENT;
    if (keep_unsent(c, v, n, (size_t)k) < 0)
        return GONE;
    conn_wait_writable(c);
    return verdict(c);
}

static bool is_local(const union conn_addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohl(a->in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

/* To a peer on this host (a proxy, mostly) nothing is ever in flight: a send buffer that grows to megabytes only drives
 * the bytes out of the processor's cache before they are read, which costs up to a third more time. To others the kernel
 * sizes the buffer by the path. */
static void size_send_buffer(struct conn *c)
{
    c->sized = true;
    if (is_local(&c->peer))
        setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &(int){ LOCAL_SEND_BUFFER }, sizeof(int));
}

enum sent conn_writev_lent(struct conn *c, const struct iovec *v, int n, int lent)
{
    ssize_t k = 0;
    if (unlikely(c->state != CONN_OPEN))
        return GONE;
    assert(!c->file_left);
    if (unlikely(!c->sized))
        size_send_buffer(c);
    if (unlikely(c->lent.n))
        conn_own(c);
    if (unlikely(!c->writing && buf_len(&c->out)))
        conn_flush(c);
    if (likely(!c->writing && c->state == CONN_OPEN))
        k = try_write(c, v, n);
    if (unlikely(k < 0 || c->state != CONN_OPEN))
        return GONE;
    if ((size_t)k == length_of(v, n))
        return SENT;
    if (keep_lent(c, v, n, lent, (size_t)k) < 0)
        return GONE;
    conn_wait_writable(c);
    return verdict(c);
}

static enum sent defer(struct conn *c)
{
    if (c->writing)
        return weigh_unsent(c);
    uint64_t now = clock_coarse_ns();
    if (!c->deferred_since_ns)
        c->deferred_since_ns = now;
    if (now - c->deferred_since_ns >= DEFER_NS) {
        conn_flush(c);
        return verdict(c);
    }
    conn_at_turn_end(c);
    return SENT;
}

enum sent conn_writev_deferred(struct conn *c, const struct iovec *v, int n)
{
    if (unlikely(c->state != CONN_OPEN))
        return GONE;
    if (!c->writing && buf_len(&c->out) + length_of(v, n) >= CONN_HIGH_MARK)
        return conn_writev(c, v, n);
    assert(!c->file_left);
    if (unlikely(c->lent.n))
        conn_own(c);
    if (keep_unsent(c, v, n, 0) < 0)
        return GONE;
    return defer(c);
}

char *conn_reserve(struct conn *c, size_t n)
{
    if (unlikely(c->lent.n))
        conn_own(c);
    return buf_room(&c->out, n);
}

enum sent conn_commit(struct conn *c, size_t n, bool now)
{
    if (unlikely(c->state != CONN_OPEN))
        return GONE;
    assert(!c->file_left);
    buf_grew(&c->out, n);
    if (!now && buf_len(&c->out) < CONN_HIGH_MARK)
        return defer(c);
    conn_flush(c);
    return verdict(c);
}

static void file_is_short(struct conn *c)
{
    c->file_short = true;
    conn_abort(c, true);
}

/* Where the transport cannot: through memory. Returns as try_write(); a short file kills the connection. */
static ssize_t copy_file(struct conn *c)
{
    char piece[16 << 10];
    size_t want = c->file_left < sizeof piece ? (size_t)c->file_left : sizeof piece;
    ssize_t n = pread(c->file_fd, piece, want, c->file_at);
    if (n <= 0) {
        file_is_short(c);
        return -1;
    }
    ssize_t k = try_write(c, &(struct iovec){ piece, (size_t)n }, 1);
    if (k > 0)
        c->file_at += k;
    return k;
}

static ssize_t send_file(struct conn *c)
{
    if (!c->transport->sendfile)
        return copy_file(c);
    size_t want = c->file_left < FILE_PIECE ? (size_t)c->file_left : FILE_PIECE;
    ssize_t k = c->transport->sendfile(c, c->file_fd, &c->file_at, want);
    if (k > 0) {
        score_add64(&c->net->score->bytes_out, (uint64_t)k);
        return k;
    }
    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (k < 0 && (errno == EINVAL || errno == ENOSYS)) /* not a file that the kernel can map */
        return copy_file(c);
    if (k < 0)
        conn_die(c, errno == EIO ? CONN_END_ABORTED : CONN_END_RESET);
    else
        file_is_short(c);
    return -1;
}

/* `out`, what is lent, and what follows it; as write_out(). */
static int write_lent(struct conn *c)
{
    struct iovec v[] = { { c->out.p + c->out.start, buf_len(&c->out) },
                         { (void *)(uintptr_t)c->lent.p, c->lent.n },
                         { c->behind, c->n_behind } };
    ssize_t k = v[0].iov_len ? try_write(c, v, 3) : try_write(c, v + 1, 2);
    if (k < 0)
        return -1;
    size_t sent = (size_t)k, piece = least(sent, v[0].iov_len);
    buf_take(&c->out, piece);
    sent -= piece;
    piece = least(sent, c->lent.n);
    c->lent = (struct span){ c->lent.p + piece, c->lent.n - piece };
    sent -= piece;
    memmove(c->behind, c->behind + sent, c->n_behind - sent);
    c->n_behind -= (uint8_t)sent;
    if (!c->lent.n)
        conn_own(c); /* the rest needs no keeper */
    if (buf_len(&c->out) || c->lent.n)
        return 0;
    buf_release(&c->out);
    return 1;
}

/* 1: all sent; 0: the socket is full or others should have their turn; -1: dead. */
static int write_out(struct conn *c)
{
    size_t n = buf_len(&c->out);
    if (unlikely(c->lent.n)) {
        int done = write_lent(c);
        if (done <= 0)
            return done;
    } else if (n) {
        ssize_t k = try_write(c, &(struct iovec){ c->out.p + c->out.start, n }, 1);
        if (k < 0)
            return -1;
        buf_take(&c->out, (size_t)k);
        if ((size_t)k < n)
            return 0;
        buf_release(&c->out);
    }
    for (int round = 0; c->file_left; round++) {
        if (round == FILE_ROUNDS) {
            conn_again(c);
            return 0;
        }
        ssize_t k = send_file(c);
        if (k < 0)
            return -1;
        c->file_left -= (uint64_t)k;
        if (!k)
            return 0;
    }
    return 1;
}

void conn_flush(struct conn *c)
{
    if (c->state == CONN_DEAD || c->writing || !conn_unsent(c))
        return;
    c->deferred_since_ns = 0;
    if (write_out(c) == 0)
        conn_wait_writable(c);
    else if (unlikely(c->buffers))
        conn_weigh(c);
}

enum sent conn_send_file(struct conn *c, int fd, off_t at, uint64_t n)
{
    if (unlikely(c->state != CONN_OPEN))
        return GONE;
    assert(!c->file_left);
    c->file_fd = fd;
    c->file_at = at;
    c->file_left = n;
    conn_flush(c);
    return verdict(c);
}

void conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    if (unlikely(c->transport->flush != NULL)) {
        int flushed = c->transport->flush(c);
        if (flushed < 0)
            conn_die(c, CONN_END_RESET);
        if (flushed <= 0)
            return;
    }
    uint64_t before = conn_unsent(c);
    int done = write_out(c);
    if (done < 0)
        return;
    uint64_t left = conn_unsent(c);
    conn_weigh(c);
    if (done)
        stop_waiting(c);
    else if (left < before && c->writing)
        conn_progress(c, before - left);
    else
        conn_wait_writable(c);
    if (c->state == CONN_FLUSHING) {
        if (!left)
            conn_flushed(c);
        return;
    }
    if (c->over_high && !c->file_left && !c->lent.n && left < CONN_LOW_MARK && c->state == CONN_OPEN) {
        c->over_high = false;
        c->proto->on_drained(c);
    }
}

void conn_can_write(struct conn *c)
{
    if (c->writing)
        conn_on_writable(-1, EV_WRITE, c);
}

bool conn_push(struct conn *c, uint64_t ms)
{
    uint64_t before = conn_unsent(c);
    struct pollfd p = { .fd = c->fd, .events = POLLOUT };
    if (c->state == CONN_DEAD || poll(&p, 1, ms < INT_MAX ? (int)ms : INT_MAX) <= 0)
        return false;
    conn_on_writable(c->fd, EV_WRITE, c);
    return c->state != CONN_DEAD && conn_unsent(c) < before;
}
