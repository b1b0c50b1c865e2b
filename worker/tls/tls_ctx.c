/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_ctx.c: what all contexts have in common. Defaults follow Mozilla's intermediate configuration (wiki.mozilla.org,
 * Security/Server Side TLS), without its finite-field groups, whose work is an open door to floods. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/tickets.h"
#include "conf/conf.h"
#include "worker/tls/tls_priv.h"

#define CIPHERS                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

const char *tls_reason(char *to, size_t n)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(code);
    if (text)
        snprintf(to, n, "%s", text);
    else if (code)
        snprintf(to, n, "error %lx of OpenSSL", code);
    else
        snprintf(to, n, "%s", errno ? strerror(errno) : "no reason given");
    ERR_clear_error();
    return to;
}

static const struct conf_tls *tls_conf_of(const struct tls_set *set)
{
    return &set->tls->net->conf->tls;
}

static int fail_ctx(char why[TLS_WHY], const char *what)
{
    char reason[256];
    snprintf(why, TLS_WHY, "%s: %s", what, tls_reason(reason, sizeof reason));
    return -1;
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n, const unsigned char *theirs, unsigned n,
                   void *arg)
{
    const struct tls *tls = arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, ret_n, tls->alpn, tls->n_alpn, theirs, n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2; also against cross-protocol tricks */
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_status(SSL *ssl, void *arg)
{
    const struct tls_cert *cert = tls_cert_of(ssl);
    if (!cert->ocsp || cert->ocsp_until <= time(NULL))
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(cert->ocsp, cert->n_ocsp);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)cert->n_ocsp);
    return SSL_TLSEXT_ERR_OK;
}

static int set_ciphers(SSL_CTX *ctx, const struct conf_tls *conf, char why[TLS_WHY])
{
    int least = conf->min_version == CONF_TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (!SSL_CTX_set_min_proto_version(ctx, least) || !SSL_CTX_set_max_proto_version(ctx, 0))
        return fail_ctx(why, "tls.min_version");
    if (!SSL_CTX_set_cipher_list(ctx, conf->ciphers ? conf->ciphers : CIPHERS))
        return fail_ctx(why, "tls.ciphers");
    if (conf->ciphersuites && !SSL_CTX_set_ciphersuites(ctx, conf->ciphersuites))
        return fail_ctx(why, "tls.ciphersuites");
    /* The hybrid with ML-KEM where the library has it (3.5). */
    if (!SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519:P-256:P-384") &&
        !SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384"))
        return fail_ctx(why, "the groups for key exchange");
    ERR_clear_error();
    return 0;
}

static int set_sessions(SSL_CTX *ctx, const struct tls_set *set, char why[TLS_WHY])
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* of one worker alone it would be worth little */
    SSL_CTX_set_timeout(ctx, TICKETS_ROTATE_S);
    if (!SSL_CTX_set_session_id_context(ctx, set->session_context, sizeof set->session_context))
        return fail_ctx(why, "the session id context");
    if (!tls_conf_of(set)->session_tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return 0;
    }
    return tls_tickets_enable(ctx) < 0 ? fail_ctx(why, "session tickets") : 0;
}

static int ask_clients(SSL_CTX *ctx, const struct tls_set *set, char why[TLS_WHY])
{
    bool required = tls_conf_of(set)->cert_reqs == CONF_CERT_REQS_REQUIRED;
    if (!set->client_store)
        return 0;
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(set->client_names);
    if (!names)
        return fail_ctx(why, "tls.ca_certs");
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set1_cert_store(ctx, set->client_store);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return 0;
}

static void set_options(SSL_CTX *ctx, const struct tls *tls)
{
    /* With renegotiation or compression a client could make us work, or learn what is in our answers. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 (tls->ktls ? SSL_OP_ENABLE_KTLS : 0));
    SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ctx, 1);
    if (tls->n_alpn)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, (void *)(uintptr_t)tls);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
}

SSL_CTX *tls_ctx_new(struct tls_set *set, char why[TLS_WHY])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx) {
        fail_ctx(why, "no context for TLS");
        return NULL;
    }
    set_options(ctx, set->tls);
    if (set_ciphers(ctx, tls_conf_of(set), why) == 0 && set_sessions(ctx, set, why) == 0 &&
        ask_clients(ctx, set, why) == 0)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* --- client certificates --- */

/* A session is only good under the rules that it was made under. */
static int make_session_context(struct tls_set *set, const struct vault_entry *ca)
{
    const struct conf_tls *conf = tls_conf_of(set);
    unsigned char rules[2] = { (unsigned char)conf->cert_reqs, (unsigned char)conf->min_version };
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, rules, sizeof rules) &&
             (!ca || EVP_DigestUpdate(md, ca->data, ca->n)) && EVP_DigestFinal_ex(md, set->session_context, NULL);
    EVP_MD_CTX_free(md);
    return ok ? 0 : -1;
}

static int add_authority(struct tls_set *set, X509 *cert)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));
    if (!name || !sk_X509_NAME_push(set->client_names, name)) {
        X509_NAME_free(name);
        return -1;
    }
    return X509_STORE_add_cert(set->client_store, cert) ? 0 : -1;
}

static int add_authorities(struct tls_set *set, BIO *bio, const char *path, char why[TLS_WHY])
{
    int n = 0, r = 0;
    X509 *cert;
    while (r == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        r = add_authority(set, cert);
        X509_free(cert);
        n++;
    }
    if (r == 0 && n && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ERR_clear_error(); /* the end of the file */
        return 0;
    }
    char what[300];
    snprintf(what, sizeof what, "tls.ca_certs %s", path);
    return fail_ctx(why, what);
}

int tls_ctx_clients(struct tls_set *set, const struct vault_entry *ca, char why[TLS_WHY])
{
    bool asked = ca && tls_conf_of(set)->cert_reqs != CONF_CERT_REQS_NONE;
    if (make_session_context(set, asked ? ca : NULL) < 0)
        return fail_ctx(why, "the session id context");
    if (!asked)
        return 0;
    set->client_store = X509_STORE_new();
    set->client_names = sk_X509_NAME_new_null();
    BIO *bio = BIO_new_mem_buf(ca->data, (int)ca->n);
    int r = bio && set->client_store && set->client_names ? add_authorities(set, bio, ca->path, why)
                                                          : fail_ctx(why, "tls.ca_certs");
    BIO_free(bio);
    return r;
}
