/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_variables.c: what WSGI applications read of a client's certificate, by the names of Apache's mod_ssl. A name with a
 * control character in it, of which a part might be taken for the whole, is left out. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "worker/tls/tls_priv.h"

/* Names of one kind; a certificate may have any number. */
#define MOST_NAMES 16

/* "NAME\0value\0" at the end of `to`. */
static bool put(struct buf *to, const char *name, const char *value, size_t n)
{
    return buf_add(to, name, strlen(name) + 1) == 0 && buf_add(to, value, n) == 0 && buf_add(to, "", 1) == 0;
}

static bool put_text(struct buf *to, const char *name, const char *value)
{
    return put(to, name, value, strlen(value));
}

/* The bytes that were written to it, perhaps none; frees it. */
static bool put_bio(struct buf *to, const char *name, BIO *bio, bool ok)
{
    char *p = NULL;
    long n = ok ? BIO_get_mem_data(bio, &p) : 0;
    if (ok && (!n || !memchr(p, '\0', (size_t)n)))
        ok = put(to, name, n ? p : "", (size_t)n);
    BIO_free(bio);
    return ok;
}

static bool put_name(struct buf *to, const char *name, const X509_NAME *dn)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    return bio && put_bio(to, name, bio, X509_NAME_print_ex(bio, dn, 0, flags) >= 0);
}

static bool put_time(struct buf *to, const char *name, const ASN1_TIME *time)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio && put_bio(to, name, bio, ASN1_TIME_print(bio, time));
}

/* False: no memory; text that is not plain is left out. */
static bool put_string(struct buf *to, const char *name, const ASN1_STRING *text)
{
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, text);
    bool plain = n > 0;
    for (int i = 0; i < n; i++)
        plain = plain && utf8[i] >= 0x20 && utf8[i] != 0x7f;
    bool ok = !plain || put(to, name, (const char *)utf8, (size_t)n);
    OPENSSL_free(utf8);
    return ok;
}

/* The last one: nearest to the subject itself (RFC 6125 2.2). */
static bool put_part(struct buf *to, const char *name, const X509_NAME *dn, int nid)
{
    int at = -1;
    for (int next; (next = X509_NAME_get_index_by_NID(dn, nid, at)) >= 0;)
        at = next;
    const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(dn, at) : NULL;
    return !entry || put_string(to, name, X509_NAME_ENTRY_get_data(entry));
}

/* SSL_CLIENT_SAN_Email_0, ... */
static bool put_alternatives(struct buf *to, X509 *cert, int kind, const char *what)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool ok = true;
    int n = 0;
    for (int i = 0; ok && all && i < sk_GENERAL_NAME_num(all) && n < MOST_NAMES; i++) {
        char name[40];
        int found;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &found);
        if (found != kind)
            continue;
        snprintf(name, sizeof name, "SSL_CLIENT_SAN_%s_%d", what, n++);
        ok = put_string(to, name, value);
    }
    GENERAL_NAMES_free(all);
    return ok;
}

static bool put_serial(struct buf *to, const X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio && put_bio(to, "SSL_CLIENT_M_SERIAL", bio, i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(cert)) > 0);
}

static bool put_pem(struct buf *to, X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio && put_bio(to, "SSL_CLIENT_CERT", bio, PEM_write_bio_X509(bio, cert));
}

static bool put_certificate(struct buf *to, X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    return put_text(to, "SSL_CLIENT_VERIFY", "SUCCESS") && put_serial(to, cert) &&
           put_name(to, "SSL_CLIENT_S_DN", subject) && put_part(to, "SSL_CLIENT_S_DN_CN", subject, NID_commonName) &&
           put_part(to, "SSL_CLIENT_S_DN_O", subject, NID_organizationName) &&
           put_part(to, "SSL_CLIENT_S_DN_OU", subject, NID_organizationalUnitName) &&
           put_part(to, "SSL_CLIENT_S_DN_Email", subject, NID_pkcs9_emailAddress) &&
           put_name(to, "SSL_CLIENT_I_DN", X509_get_issuer_name(cert)) &&
           put_part(to, "SSL_CLIENT_I_DN_CN", X509_get_issuer_name(cert), NID_commonName) &&
           put_time(to, "SSL_CLIENT_V_START", X509_get0_notBefore(cert)) &&
           put_time(to, "SSL_CLIENT_V_END", X509_get0_notAfter(cert)) &&
           put_alternatives(to, cert, GEN_EMAIL, "Email") && put_alternatives(to, cert, GEN_DNS, "DNS") &&
           put_pem(to, cert);
}

struct span tls_variables(const struct conn *c)
{
    struct tls_conn *t = c->transport_data;
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    if (buf_len(&t->variables))
        return buf_span(&t->variables);
    bool ok = put_text(&t->variables, "SSL_PROTOCOL", SSL_get_version(t->ssl)) &&
              put_text(&t->variables, "SSL_CIPHER", SSL_get_cipher_name(t->ssl)) &&
              (cert ? put_certificate(&t->variables, cert) : put_text(&t->variables, "SSL_CLIENT_VERIFY", "NONE"));
    if (!ok)
        buf_release(&t->variables);
    ERR_clear_error();
    return buf_span(&t->variables);
}
