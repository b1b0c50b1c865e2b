/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_hello.c: the handshake, and what stands in as transport and protocol until it has ended. It is made inside reads:
 * nothing is kept for a peer that has not sent anything. Its time is http.header_timeout; in one turn of the loop only a
 * few steps are made. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/tls/tls_priv.h"

/* Of handshakes in a turn: each may need the private key, which takes up to a few milliseconds (RSA). */
#define STEPS 16
/* As for a new connection of HTTP: its request is sure to be on its way. */
#define SHUTDOWN_GRACE_MS 1000

/* --- steps --- */

static const struct transport_ops transport_handshake;

static int handshake_start(struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    struct tls *tls = c->net->tls;
    t->ssl = SSL_new(tls->set->base->ctx);
    if (!t->ssl) {
        ERR_clear_error();
        errno = ENOMEM;
        return -1;
    }
    t->set = tls_set_ref(tls->set);
    tls_set_state(t, TLS_HELLO);
    SSL_set_accept_state(t->ssl);
    if (tls->ktls)
        return SSL_set_fd(t->ssl, c->fd) ? 0 : -1;
    BIO_up_ref(tls->bio); /* one for both: SSL_set_bio(3) */
    SSL_set_bio(t->ssl, tls->bio, tls->bio);
    return 0;
}

/* A peer that begins with a letter speaks HTTP in the clear, and gets an answer that says so. What is no TLS is left to
 * OpenSSL's alert. */
static bool speaks_clear(unsigned char first)
{
    return (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z');
}

static int answer_clear(struct conn *c)
{
    const struct proto_ops *proto = c->net->not_tls;
    tls_conn_free(c);
    c->transport = &transport_tcp;
    conn_set_proto(c, proto);
    if (proto->open(c) == 0)
        return 1;
    c->proto = NULL;
    errno = ENOMEM;
    return -1;
}

static int look_at_first_byte(struct conn *c)
{
    unsigned char first;
    ssize_t n = recv(c->fd, &first, 1, MSG_PEEK);
    if (n <= 0)
        return (int)n;
    if (speaks_clear(first) && c->net->not_tls)
        return answer_clear(c);
    return handshake_start(c) < 0 ? -1 : 1;
}

static int handshake_finish(struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    struct tls *tls = c->net->tls;
    tls_set_state(t, TLS_OPEN);
    c->transport = &transport_tls;
    score_add64(&c->net->score->tls_handshakes, 1);
    if (SSL_session_reused(t->ssl))
        score_add64(&c->net->score->tls_resumed, 1);
    t->ktls = tls->ktls && BIO_get_ktls_send(SSL_get_wbio(t->ssl));
    if (tls->ktls && !t->ktls) { /* a cipher that the kernel does not have: as without it */
        BIO_up_ref(tls->bio);
        SSL_set0_wbio(t->ssl, tls->bio);
    }
    const struct proto_ops *proto = c->net->choose_proto(c);
    conn_no_deadline(c);
    conn_set_proto(c, proto);
    if (proto->open(c) == 0)
        return 1;
    c->proto = NULL;
    errno = ENOMEM;
    return -1;
}

static void wait_for_turn(struct tls *tls, struct tls_conn *t)
{
    if (t->waits)
        return;
    t->waits = true;
    TAILQ_INSERT_TAIL(&tls->waiting, t, link);
}

void tls_turn(struct tls *tls)
{
    struct tls_conn *t;
    tls->steps = STEPS;
    for (unsigned i = 0; i < STEPS && (t = TAILQ_FIRST(&tls->waiting)); i++) {
        tls_stop_waiting(tls, t);
        t->conn->readable = true;
        conn_again(t->conn);
    }
}

static int handshake_step(struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    struct tls *tls = c->net->tls;
    if (!tls->steps) {
        wait_for_turn(tls, t);
        errno = EAGAIN;
        return -1;
    }
    tls->steps--;
    tls_begin(tls, c);
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        int pushed = tls_push(tls, c, false);
        if (pushed == 0)
            conn_wait_writable(c);
        return pushed < 0 ? -1 : handshake_finish(c);
    }
    r = (int)tls_judge(c, r);
    if (t->state == TLS_BROKEN)
        score_add64(&c->net->score->tls_failures, 1);
    return r;
}

/* 1: the handshake has ended and the protocol is chosen; 0: the peer has gone; -1 with errno. */
static int shake_hands(struct conn *c)
{
    const struct tls_conn *t = c->transport_data;
    if (t->state == TLS_BROKEN) {
        errno = EPROTO;
        return -1;
    }
    if (t->state == TLS_NEW) {
        int r = look_at_first_byte(c);
        if (r <= 0 || c->transport != &transport_handshake)
            return r;
    }
    return handshake_step(c);
}

/* --- the transport meanwhile --- */

static ssize_t handshake_read(struct conn *c, void *p, size_t n)
{
    int r = shake_hands(c);
    return r > 0 ? c->transport->read(c, p, n) : r;
}

static ssize_t handshake_writev(struct conn *c, const struct iovec *v, int n)
{
    errno = EPIPE;
    return -1;
}

static ssize_t handshake_sendfile(struct conn *c, int fd, off_t *offset, size_t n)
{
    errno = EPIPE;
    return -1;
}

static void handshake_shutdown(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

static const struct transport_ops transport_handshake = {
    .name = "tls",
    .secure = true,
    .short_read_drains = true,
    .read = handshake_read,
    .writev = handshake_writev,
    .sendfile = handshake_sendfile,
    .flush = tls_flush,
    .shutdown = handshake_shutdown,
    .done = tls_conn_free,
};

/* --- the protocol meanwhile --- */

static int hello_open(struct conn *c)
{
    struct tls_conn *t = calloc(1, sizeof *t);
    if (!t)
        return -1;
    t->conn = c;
    c->transport = &transport_handshake;
    c->transport_data = t;
    conn_set_deadline(c, c->net->draining ? SHUTDOWN_GRACE_MS : c->net->conf->http.header_timeout);
    return 0;
}

/* There are no bytes before the handshake has ended, and then another protocol has the connection. */
static size_t hello_data(struct conn *c, char *p, size_t n)
{
    return 0;
}

static void hello_give_up(struct conn *c)
{
    const struct tls_conn *t = c->transport_data;
    if (t && t->ssl && t->state != TLS_BROKEN)
        score_add64(&c->net->score->tls_failures, 1);
    conn_abort(c, false);
}

static void hello_drained(struct conn *c)
{
}

static void hello_shutdown(struct conn *c)
{
    conn_set_deadline(c, SHUTDOWN_GRACE_MS);
}

static void hello_closed(struct conn *c, enum conn_end why)
{
}

const struct proto_ops proto_tls = {
    .name = "tls",
    .open = hello_open,
    .on_data = hello_data,
    .on_eof = hello_give_up,
    .on_drained = hello_drained,
    .on_deadline = hello_give_up,
    .on_shutdown = hello_shutdown,
    .on_close = hello_closed,
};
