/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_priv.h: what the files of TLS share. */
#ifndef TINE_NET_TLS_PRIV_H
#define TINE_NET_TLS_PRIV_H

#include <assert.h>
#include <openssl/ssl.h>

#include "common/vault.h"
#include "worker/net/conn.h"
#include "worker/net/transport.h"
#include "worker/net/transport_io.h"
#include "worker/tls/tls.h"

/* A record holds at most this much. */
#define TLS_RECORD (16u << 10)
/* Plain bytes that are sealed before they are written to the socket. */
#define TLS_GATHER (64u << 10)
/* Sealed bytes that a connection may owe its socket. More is only there when a peer makes us answer and reads nothing. */
#define TLS_OWED_MAX (256u << 10)

struct tls_set;

/* A certificate with its key. */
struct tls_cert {
    SSL_CTX *ctx;
    struct tls_set *set;
    char *path; /* of its file */
    char *host; /* lower-case; "" = any; "*.example.org" */
    char *pem; /* the certificate itself */
    size_t n_pem;
    uint64_t id;
    int64_t expires; /* seconds since 1970 */
    unsigned char *ocsp; /* NULL: none */
    size_t n_ocsp;
    int64_t ocsp_until; /* seconds since 1970 */
};

/* All certificates of one state of the files; connections count on it. */
struct tls_set {
    unsigned refs;
    struct tls *tls;
    struct span password; /* of keys, while the set is made; p = NULL: none */
    struct tls_cert *base; /* begins every handshake; has a certificate only if there is tls.certfile */
    struct tls_cert **hosts; /* sorted by host */
    size_t n_hosts;
    X509_STORE *client_store; /* NULL: client certificates are not asked for */
    STACK_OF(X509_NAME) * client_names;
    unsigned char session_context[32]; /* the rules for clients under which a session was made */
};

struct tls {
    struct net *net;
    const struct vault *vault;
    const struct tickets *tickets;
    struct tls_set *set;
    uint32_t version; /* of the vault, that `set` is made from */
    uint64_t ids; /* of certificates, counted up */
    unsigned char alpn[32]; /* what is offered, as on the wire */
    unsigned n_alpn;
    bool ktls; /* the kernel can seal records */
    unsigned steps; /* handshake steps left in this turn */
    TAILQ_HEAD(, tls_conn) waiting; /* for a turn with steps left, the longest first */

    BIO_METHOD *method;
    BIO *bio; /* of all connections: it serves the one that is `now` */
    struct conn *now;
    bool short_read; /* the last read took all that the socket had */
    bool eof;
    struct buf out; /* sealed, to be written at the end of the call */
    char *piece; /* TLS_GATHER bytes for putting together, and for files */

    EVP_CIPHER *ticket_cipher;
    char ticket_digest[8];
};

enum tls_state {
    TLS_NEW, /* no byte was seen */
    TLS_HELLO, /* handshake */
    TLS_OPEN,
    TLS_BROKEN /* nothing more can be said */
};

struct tls_conn {
    enum tls_state state;
    bool ktls; /* the kernel seals what is sent, and OpenSSL writes to the socket itself */
    bool waits; /* in tls->waiting */
    bool wants_write; /* reading continues when the socket takes something (ktls, handshake) */
    SSL *ssl;
    struct tls_set *set;
    struct buf out; /* sealed bytes that the socket did not take */
    size_t kept, record_kept; /* of what is kept for the client: `out`; a record that has not come whole */
    size_t owed; /* plain bytes in `out` that were not reported to the connection as written: it offers them again */
    size_t retry; /* ktls: length of a write that has to be tried again */
    uint32_t since_idle; /* plain bytes sent in a row */
    uint64_t sent_ms;
    struct buf variables; /* tls_variables() */
    struct conn *conn;
    TAILQ_ENTRY(tls_conn) link;
};

/* Only forward. */
static inline void tls_set_state(struct tls_conn *t, enum tls_state state)
{
    assert(state >= t->state);
    t->state = state;
}

/* The certificate that a connection shows. */
static inline struct tls_cert *tls_cert_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* tls_ctx.c. A context with everything but a certificate. NULL: `why` is filled. */
SSL_CTX *tls_ctx_new(struct tls_set *set, char why[TLS_WHY]);
/* Client certificates: parses `ca` (NULL: none are asked for). 0 or -1. */
int tls_ctx_clients(struct tls_set *set, const struct vault_entry *ca, char why[TLS_WHY]);
/* The last error of OpenSSL as text, which empties the queue. */
const char *tls_reason(char *to, size_t n);

/* tls_cert.c. `key` and `ocsp` may be NULL. NULL: `why` is filled. */
struct tls_cert *tls_cert_new(struct tls_set *set, const struct vault_entry *cert, const struct vault_entry *key,
                              const struct vault_entry *ocsp, char why[TLS_WHY]);
void tls_cert_free(struct tls_cert *cert);

/* tls_sni.c */
void tls_sni_sort(struct tls_set *set);
int tls_sni_choose(SSL *ssl, int *alert, void *arg);

/* tls_set.c */
struct tls_set *tls_set_ref(struct tls_set *set);
void tls_set_unref(struct tls_set *set);

/* tls_tickets.c */
int tls_tickets_init(struct tls *tls);
void tls_tickets_done(struct tls *tls);
int tls_tickets_enable(SSL_CTX *ctx);

/* tls_bio.c */
int tls_bio_init(struct tls *tls);
void tls_bio_done(struct tls *tls);
/* Before any call of OpenSSL about a connection. */
void tls_begin(struct tls *tls, struct conn *c);
/* Writes what the call has left to write, `more` if more follows at once. 1: all of it; 0: the socket is full; -1 with
 * errno. */
int tls_push(struct tls *tls, struct conn *c, bool more);

/* tls_step.c. Why a call of OpenSSL failed: 0 at the end, or -1 with errno. */
ssize_t tls_judge(struct conn *c, int result);
/* transport_ops.flush */
int tls_flush(struct conn *c);
/* Takes the connection out of tls->waiting. */
void tls_stop_waiting(struct tls *tls, struct tls_conn *t);
void tls_conn_free(struct conn *c);

#endif
