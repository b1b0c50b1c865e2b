/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_bio.c: between OpenSSL and the socket. One BIO serves all connections, one call at a time: it reads from the socket
 * of the present one, and gathers what is written until the call ends, so that the records of a turn leave in one write.
 * What the socket does not take stays with the connection. Writing to it never fails for a full socket. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "worker/tls/tls_priv.h"

static int bio_read(BIO *bio, char *to, int n)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t k = recv(tls->now->fd, to, (size_t)n, 0);
    tls->short_read = k < n;
    if (k > 0)
        return (int)k;
    if (k == 0)
        tls->eof = true;
    else if (errno == EAGAIN || errno == EINTR)
        BIO_set_retry_read(bio);
    return (int)k;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct tls *tls = BIO_get_data(bio);
    struct tls_conn *t = tls->now->transport_data;
    BIO_clear_retry_flags(bio);
    if (buf_len(&tls->out) + buf_len(&t->out) + (size_t)n > TLS_OWED_MAX || buf_add(&tls->out, p, (size_t)n) < 0) {
        errno = ENOBUFS;
        return -1;
    }
    return n;
}

static long bio_ctrl(BIO *bio, int what, long n, void *p)
{
    const struct tls *tls = BIO_get_data(bio);
    switch (what) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return tls->eof;
    default:
        return 0;
    }
}

int tls_bio_init(struct tls *tls)
{
    tls->piece = malloc(TLS_GATHER);
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");
    if (!tls->piece || !tls->method || !BIO_meth_set_read(tls->method, bio_read) ||
        !BIO_meth_set_write(tls->method, bio_write) || !BIO_meth_set_ctrl(tls->method, bio_ctrl))
        return -1;
    tls->bio = BIO_new(tls->method);
    if (!tls->bio)
        return -1;
    BIO_set_data(tls->bio, tls);
    BIO_set_init(tls->bio, 1);
    return 0;
}

void tls_bio_done(struct tls *tls)
{
    BIO_free(tls->bio);
    BIO_meth_free(tls->method);
    free(tls->piece);
    buf_release(&tls->out);
}

void tls_begin(struct tls *tls, struct conn *c)
{
    ERR_clear_error();
    buf_take(&tls->out, buf_len(&tls->out)); /* of a connection that broke: never for another one */
    tls->now = c;
    tls->short_read = tls->eof = false;
    errno = 0;
}

static int write_now(struct conn *c, struct buf *b, bool more)
{
    struct span s = buf_span(b);
    ssize_t k = send(c->fd, s.p, s.n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (k < 0)
        return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -1;
    buf_take(b, (size_t)k);
    return buf_len(b) == 0;
}

static int write_kept(struct tls_conn *t, struct conn *c, bool more)
{
    size_t before = buf_len(&t->out);
    int done = write_now(c, &t->out, more);
    if (done > 0) {
        buf_release(&t->out);
        conn_keep(c, &t->kept, 0);
    } else if (done == 0 && buf_len(&t->out) < before && c->writing) {
        conn_progress(c, before - buf_len(&t->out));
    }
    return done;
}

int tls_push(struct tls *tls, struct conn *c, bool more)
{
    struct tls_conn *t = c->transport_data;
    int done = 1;
    if (buf_len(&tls->out) && !buf_len(&t->out))
        done = write_now(c, &tls->out, more);
    if (done >= 0 && buf_len(&tls->out)) {
        struct span rest = buf_span(&tls->out);
        done = buf_add(&t->out, rest.p, rest.n) < 0 ? -1 : 0;
        conn_keep(c, &t->kept, t->out.cap);
    }
    buf_take(&tls->out, buf_len(&tls->out));
    if (done < 0) {
        tls_set_state(t, TLS_BROKEN);
        return -1;
    }
    return buf_len(&t->out) ? write_kept(t, c, more) : 1;
}
