/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_step.c: what the handshake and the transport after it have in common: how a call of OpenSSL ended, sealed bytes that
 * the socket did not take, the end of a connection. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "common/heritage.h"
#include "common/log.h"
#include "worker/tls/tls_priv.h"

ssize_t tls_judge(struct conn *c, int result)
{
    struct tls_conn *t = c->transport_data;
    int saved = errno, error = SSL_get_error(t->ssl, result), pushed;
    char reason[128];
    switch (error) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        pushed = tls_push(c->net->tls, c, false);
        if (pushed < 0)
            return -1;
        t->wants_write = error == SSL_ERROR_WANT_WRITE;
        if (t->wants_write || !pushed)
            conn_wait_writable(c);
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        tls_set_state(t, TLS_BROKEN);
        ERR_clear_error();
        errno = saved ? saved : ECONNRESET;
        return saved ? -1 : 0;
    default:
        tls_set_state(t, TLS_BROKEN);
        log_debug("%s: tls: %s", c->listener->text, tls_reason(reason, sizeof reason));
        (void)!tls_push(c->net->tls, c, false); /* the alert, if it goes */
        errno = EPROTO;
        return -1;
    }
}

int tls_flush(struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    if (t->wants_write) {
        t->wants_write = false;
        c->readable = true;
        conn_again(c);
    }
    if (!buf_len(&t->out))
        return 1;
    tls_begin(c->net->tls, c);
    return tls_push(c->net->tls, c, false);
}

void tls_stop_waiting(struct tls *tls, struct tls_conn *t)
{
    if (t->waits)
        TAILQ_REMOVE(&tls->waiting, t, link);
    t->waits = false;
}

void tls_conn_free(struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    tls_stop_waiting(c->net->tls, t);
    SSL_free(t->ssl);
    tls_set_unref(t->set);
    buf_release(&t->out);
    buf_release(&t->variables);
    conn_keep(c, &t->kept, 0);
    conn_keep(c, &t->record_kept, 0);
    free(t);
    c->transport_data = NULL;
}
