/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_info.c: what an application may know of its connection (ASGI's tls extension). */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "worker/tls/tls_priv.h"

static SSL *ssl_of(const struct conn *c)
{
    return ((const struct tls_conn *)c->transport_data)->ssl;
}

struct span tls_alpn(const struct conn *c)
{
    const unsigned char *p;
    unsigned n;
    SSL_get0_alpn_selected(ssl_of(c), &p, &n);
    return (struct span){ (const char *)p, n };
}

void tls_info(const struct conn *c, struct tls_info *ret)
{
    SSL *ssl = ssl_of(c);
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const struct tls_cert *cert = tls_cert_of(ssl);
    *ret = (struct tls_info){ .version = (unsigned)SSL_version(ssl),
                              .cipher = cipher ? SSL_CIPHER_get_protocol_id(cipher) : 0,
                              .cipher_name = cipher ? SSL_CIPHER_get_name(cipher) : "",
                              .server_cert = { cert->pem, cert->n_pem },
                              .server_cert_id = cert->id,
                              .has_client_cert = SSL_get0_peer_certificate(ssl) != NULL };
}

static bool add_bio(struct buf *to, BIO *bio, bool ok)
{
    char *p;
    long n = ok ? BIO_get_mem_data(bio, &p) : 0;
    ok = n > 0 && buf_add(to, p, (size_t)n) == 0;
    BIO_free(bio);
    ERR_clear_error();
    return ok;
}

/* On the server's side the chain is without the peer's own certificate. */
bool tls_client_cert(const struct conn *c, size_t i, struct buf *to)
{
    SSL *ssl = ssl_of(c);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    X509 *cert = NULL;
    if (i == 0)
        cert = SSL_get0_peer_certificate(ssl);
    else if (chain && i - 1 < (size_t)sk_X509_num(chain))
        cert = sk_X509_value(chain, (int)i - 1);
    BIO *bio = cert ? BIO_new(BIO_s_mem()) : NULL;
    return bio && add_bio(to, bio, PEM_write_bio_X509(bio, cert));
}

bool tls_client_name(const struct conn *c, struct buf *to)
{
    X509 *cert = SSL_get0_peer_certificate(ssl_of(c));
    BIO *bio = cert ? BIO_new(BIO_s_mem()) : NULL;
    unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    return bio && add_bio(to, bio, X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, flags) >= 0);
}
