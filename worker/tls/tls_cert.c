/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_cert.c: one certificate with its key and its OCSP response, from the bytes of their files. Refuses what clients would
 * refuse in every handshake: a key that is not the certificate's above all. */
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "worker/tls/tls_priv.h"

static int fail_cert(char why[TLS_WHY], const char *path, const char *what)
{
    char reason[200];
    snprintf(why, TLS_WHY, "%s: %s (%s)", path, what, tls_reason(reason, sizeof reason));
    return -1;
}

/* tls.key_password */
static int give_password(char *to, int n, int writing, void *arg)
{
    const struct span *password = arg;
    if (!password->p || password->n > (size_t)n)
        return -1;
    memcpy(to, password->p, password->n);
    return (int)password->n;
}

/* No one is there to type a password. */
static int no_password(char *to, int n, int writing, void *arg)
{
    return -1;
}

static bool is_end_of_pem(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* --- the certificate --- */

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;
    return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

static int keep_pem(struct tls_cert *cert, X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    long n = bio && PEM_write_bio_X509(bio, x) ? BIO_get_mem_data(bio, &p) : 0;
    if (n > 0 && (cert->pem = malloc((size_t)n))) {
        memcpy(cert->pem, p, (size_t)n);
        cert->n_pem = (size_t)n;
    }
    BIO_free(bio);
    return cert->pem ? 0 : -1;
}

static int use_chain(struct tls_cert *cert, BIO *bio)
{
    X509 *x;
    while ((x = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
        if (!SSL_CTX_add0_chain_cert(cert->ctx, x)) {
            X509_free(x);
            return -1;
        }
    }
    if (!is_end_of_pem())
        return -1;
    ERR_clear_error();
    return 0;
}

static int use_certificate(struct tls_cert *cert, const struct vault_entry *e, char why[TLS_WHY])
{
    BIO *bio = BIO_new_mem_buf(e->data, (int)e->n);
    X509 *x = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL) : NULL;
    int r = 0;
    if (!x)
        r = fail_cert(why, e->path, "no certificate in PEM");
    else if (SSL_CTX_use_certificate(cert->ctx, x) != 1)
        r = fail_cert(why, e->path, "the certificate cannot be used");
    else if (use_chain(cert, bio) < 0)
        r = fail_cert(why, e->path, "a certificate behind the first one is damaged");
    else if (keep_pem(cert, x) < 0)
        r = fail_cert(why, e->path, "out of memory");
    else
        cert->expires = seconds_of(X509_get0_notAfter(x));
    X509_free(x);
    BIO_free(bio);
    return r;
}

static int use_key(struct tls_cert *cert, const struct vault_entry *e, const char *cert_path, char why[TLS_WHY])
{
    char what[300];
    struct span password = cert->set->password;
    BIO *bio = BIO_new_mem_buf(e->data, (int)e->n);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, &password) : NULL;
    int r = 0;
    snprintf(what, sizeof what, "the key does not match the certificate in %s", cert_path);
    if (!key)
        r = fail_cert(why, e->path,
                      password.p ? "no private key in PEM that tls.key_password opens"
                                 : "no private key in PEM that needs no password (tls.key_password)");
    else if (!X509_check_private_key(SSL_CTX_get0_certificate(cert->ctx), key))
        r = fail_cert(why, e->path, what);
    else if (SSL_CTX_use_PrivateKey(cert->ctx, key) != 1)
        r = fail_cert(why, e->path, "the key cannot be used");
    EVP_PKEY_free(key);
    BIO_free(bio);
    return r;
}

/* --- OCSP --- */

/* When the response stops being worth anything; 0: it is worth nothing. */
static int64_t judge_ocsp(const OCSP_BASICRESP *basic)
{
    ASN1_GENERALIZEDTIME *until = NULL, *from = NULL;
    int reason;
    if (OCSP_resp_count((OCSP_BASICRESP *)(uintptr_t)basic) < 1)
        return 0;
    OCSP_SINGLERESP *one = OCSP_resp_get0((OCSP_BASICRESP *)(uintptr_t)basic, 0);
    OCSP_single_get0_status(one, &reason, NULL, &from, &until);
    return until ? seconds_of(until) : seconds_of(from) + 24L * 3600;
}

/* What is wrong with it is no reason to serve nothing: clients do without. */
static void use_ocsp(struct tls_cert *cert, const struct vault_entry *e)
{
    const unsigned char *p = (const unsigned char *)e->data;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)e->n);
    OCSP_BASICRESP *basic = NULL;
    if (response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    int64_t until = basic ? judge_ocsp(basic) : 0;
    if (!until || until <= time(NULL))
        log_warning("tls: %s: %s; it is not stapled", e->path,
                    until ? "the OCSP response is out of date" : "no OCSP response in DER that answers");
    else if ((cert->ocsp = malloc(e->n))) {
        memcpy(cert->ocsp, e->data, e->n);
        cert->n_ocsp = e->n;
        cert->ocsp_until = until;
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
}

/* --- all of it --- */

static char *host_of(const char *name)
{
    char *host = strdup(name);
    if (host && host[0] == '_' && host[1] == '.')
        host[0] = '*';
    for (char *p = host; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return host;
}

struct tls_cert *tls_cert_new(struct tls_set *set, const struct vault_entry *cert, const struct vault_entry *key,
                              const struct vault_entry *ocsp, char why[TLS_WHY])
{
    struct tls_cert *c = calloc(1, sizeof *c);
    if (!c || !(c->host = host_of(cert ? cert->host : "")) || !(c->path = strdup(cert ? cert->path : ""))) {
        if (c)
            free(c->host);
        free(c);
        snprintf(why, TLS_WHY, "out of memory");
        return NULL;
    }
    c->set = set;
    c->id = ++set->tls->ids;
    ERR_clear_error();
    if (!(c->ctx = tls_ctx_new(set, why)) || (cert && use_certificate(c, cert, why) < 0) ||
        (cert && key && use_key(c, key, cert->path, why) < 0)) {
        tls_cert_free(c);
        return NULL;
    }
    SSL_CTX_set_app_data(c->ctx, c);
    if (ocsp)
        use_ocsp(c, ocsp);
    return c;
}

void tls_cert_free(struct tls_cert *cert)
{
    if (!cert)
        return;
    SSL_CTX_free(cert->ctx);
    free(cert->host);
    free(cert->path);
    free(cert->pem);
    free(cert->ocsp);
    free(cert);
}
