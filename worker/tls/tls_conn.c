/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_conn.c: TLS as a transport, once the handshake has ended. Records are small at first, so that the peer can use what
 * it has got before a whole round trip has ended, and large when much is sent; they leave together. What the socket does
 * not take of them is kept, and its plain bytes count as not written: the connection offers them again, and they are
 * skipped. */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/likely.h"
#include "worker/tls/tls_priv.h"

/* What fits one packet, whatever its options (IPv6, TCP timestamps, and 29 bytes of TLS 1.2). */
#define SMALL_RECORD 1369u
#define SMALL_UNTIL (1u << 20)
#define IDLE_MS 1000

/* --- in --- */

/* OpenSSL keeps a record that has not come whole. */
static void weigh_record(struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    conn_keep(c, &t->record_kept, SSL_has_pending(t->ssl) ? TLS_RECORD : 0);
}

static ssize_t tls_read(struct conn *c, void *p, size_t n)
{
    struct tls_conn *t = c->transport_data;
    struct tls *tls = c->net->tls;
    if (unlikely(t->state != TLS_OPEN)) {
        errno = EPROTO;
        return -1;
    }
    if (unlikely(c->state == CONN_LINGERING))
        return recv(c->fd, p, n, 0);
    size_t got = 0, k;
    int r;
    tls_begin(tls, c);
    while ((r = SSL_read_ex(t->ssl, (char *)p + got, n - got, &k)) == 1) {
        got += k;
        if (got == n || (tls->short_read && !SSL_has_pending(t->ssl)))
            break;
    }
    if (unlikely(r != 1 || t->record_kept))
        weigh_record(c);
    if (likely(r == 1)) {
        if (unlikely(buf_len(&tls->out)) && tls_push(tls, c, false) == 0)
            conn_wait_writable(c);
        return (ssize_t)got;
    }
    ssize_t end = tls_judge(c, r);
    if (!got)
        return end;
    if (end == 0 || errno != EAGAIN)
        c->peer_hup = true; /* the next read reports it */
    return (ssize_t)got;
}

/* --- out --- */

static size_t record_size(struct tls_conn *t)
{
    uint64_t now = clock_coarse_ns() / 1000000;
    if (now - t->sent_ms >= IDLE_MS)
        t->since_idle = 0;
    t->sent_ms = now;
    return t->since_idle < SMALL_UNTIL ? SMALL_RECORD : TLS_RECORD;
}

/* Until it is known that much is sent; the count would wrap around some day. */
static void count_sent(struct tls_conn *t, size_t n)
{
    if (t->since_idle < SMALL_UNTIL)
        t->since_idle += (uint32_t)n;
}

/* What begins `at` bytes into v, of at most `most` bytes: where it is, or put together. */
static struct span piece_at(struct tls *tls, const struct iovec *v, int n, size_t at, size_t most)
{
    size_t have = 0;
    for (int i = 0; i < n && have < most; i++) {
        if (at >= v[i].iov_len) {
            at -= v[i].iov_len;
            continue;
        }
        const char *p = (const char *)v[i].iov_base + at;
        size_t k = v[i].iov_len - at;
        at = 0;
        if (k > most - have)
            k = most - have;
        if (!have && (k == most || i == n - 1))
            return (struct span){ p, k };
        memcpy(tls->piece + have, p, k);
        have += k;
    }
    return (struct span){ tls->piece, have };
}

static ssize_t fail_write(struct conn *c, int result)
{
    if (tls_judge(c, result) < 0)
        return -1;
    errno = EPIPE; /* the peer may not have ended our side, but there is no way on */
    return -1;
}

/* Records go to the socket one by one: those that the kernel seals. */
static ssize_t write_ktls(struct conn *c, const struct iovec *v, int n)
{
    struct tls_conn *t = c->transport_data;
    size_t sent = 0, k;
    for (;;) {
        size_t most = record_size(t);
        struct span s = piece_at(c->net->tls, v, n, sent, most > t->retry ? most : t->retry);
        if (!s.n)
            return (ssize_t)sent;
        tls_begin(c->net->tls, c);
        int r = SSL_write_ex(t->ssl, s.p, s.n, &k);
        if (r != 1) {
            t->retry = SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_WRITE ? s.n : 0;
            ssize_t end = fail_write(c, r);
            t->wants_write = false; /* the connection waits by itself */
            return sent ? (ssize_t)sent : end;
        }
        t->retry = 0;
        count_sent(t, k);
        sent += k;
    }
}

/* Seals at most TLS_GATHER bytes from *at on. 0 or -1. */
static int seal(struct conn *c, const struct iovec *v, int n, size_t *at)
{
    struct tls_conn *t = c->transport_data;
    struct tls *tls = c->net->tls;
    size_t end = *at + TLS_GATHER, k;
    while (*at < end) {
        size_t most = record_size(t);
        struct span s = piece_at(tls, v, n, *at, most < end - *at ? most : end - *at);
        if (!s.n)
            break;
        int r = SSL_write_ex(t->ssl, s.p, s.n, &k);
        if (unlikely(r != 1))
            return (int)fail_write(c, r);
        count_sent(t, k);
        *at += k;
    }
    return 0;
}

static ssize_t full(size_t sent)
{
    if (sent)
        return (ssize_t)sent;
    errno = EAGAIN;
    return -1;
}

/* `more` is said with the last bytes if it is said at all. */
static ssize_t write_gathered(struct conn *c, const struct iovec *v, int n, bool more)
{
    struct tls_conn *t = c->transport_data;
    struct tls *tls = c->net->tls;
    size_t all = 0, reported = t->owed, at = t->owed;
    for (int i = 0; i < n; i++)
        all += v[i].iov_len;
    tls_begin(tls, c);
    if (unlikely(buf_len(&t->out))) {
        int done = tls_push(tls, c, false);
        if (done <= 0)
            return done < 0 ? -1 : full(0);
    }
    t->owed = 0;
    while (at < all) {
        if (unlikely(seal(c, v, n, &at) < 0))
            return -1;
        int done = tls_push(tls, c, more || at < all);
        if (unlikely(done < 0))
            return -1;
        if (!done) {
            t->owed = at - reported;
            return full(reported);
        }
        reported = at;
    }
    return (ssize_t)reported;
}

static ssize_t tls_writev(struct conn *c, const struct iovec *v, int n)
{
    const struct tls_conn *t = c->transport_data;
    if (unlikely(t->state != TLS_OPEN)) {
        errno = EPIPE;
        return -1;
    }
    return unlikely(t->ktls) ? write_ktls(c, v, n) : write_gathered(c, v, n, c->file_left > 0);
}

static ssize_t sendfile_ktls(struct conn *c, int fd, off_t *offset, size_t n)
{
    struct tls_conn *t = c->transport_data;
    tls_begin(c->net->tls, c);
    ssize_t k = SSL_sendfile(t->ssl, fd, *offset, n, 0);
    if (k > 0)
        *offset += k;
    if (k >= 0)
        return k;
    int error = errno;
    bool full_now = SSL_get_error(t->ssl, (int)k) == SSL_ERROR_WANT_WRITE;
    ERR_clear_error();
    errno = full_now ? EAGAIN : error;
    return -1;
}

/* Where the kernel does not seal, the file goes through memory. After a full socket the same bytes are asked for again. */
static ssize_t tls_sendfile(struct conn *c, int fd, off_t *offset, size_t n)
{
    struct tls_conn *t = c->transport_data;
    if (unlikely(t->state != TLS_OPEN)) {
        errno = EPIPE;
        return -1;
    }
    if (t->ktls)
        return sendfile_ktls(c, fd, offset, n);
    if (n > TLS_GATHER)
        n = TLS_GATHER;
    char *piece = c->net->tls->piece;
    ssize_t k = pread(fd, piece, n, *offset);
    if (k <= 0)
        return k;
    struct iovec v = { piece, (size_t)k };
    k = write_gathered(c, &v, 1, (uint64_t)k < c->file_left);
    if (k > 0)
        *offset += k;
    return k;
}

/* --- the end --- */

static void say_goodbye(struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    if (t->state != TLS_OPEN || SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
        return;
    tls_begin(c->net->tls, c);
    SSL_shutdown(t->ssl);
    ERR_clear_error();
    (void)!tls_push(c->net->tls, c, false);
}

static void tls_shutdown(struct conn *c)
{
    say_goodbye(c);
    shutdown(c->fd, SHUT_WR);
}

/* A connection that is cut gets no close_notify: the peer must be able to tell that something is missing. */
static void tls_done(struct conn *c)
{
    if (c->end == CONN_END_CLOSED)
        say_goodbye(c);
    tls_conn_free(c);
}

const struct transport_ops transport_tls = {
    .name = "tls",
    .secure = true,
    .short_read_drains = true,
    .read = tls_read,
    .writev = tls_writev,
    .sendfile = tls_sendfile,
    .flush = tls_flush,
    .shutdown = tls_shutdown,
    .done = tls_done,
};
