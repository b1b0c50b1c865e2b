/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_set.c: the worker's TLS: from the bytes in the master's vault to the certificates in use. New ones take the place of
 * the old ones only when all of them are right; connections keep those that they began with. */
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/tls/tls_priv.h"

/* --- sets --- */

struct tls_set *tls_set_ref(struct tls_set *set)
{
    set->refs++;
    return set;
}

void tls_set_unref(struct tls_set *set)
{
    if (!set || --set->refs)
        return;
    for (size_t i = 0; i < set->n_hosts; i++)
        tls_cert_free(set->hosts[i]);
    tls_cert_free(set->base);
    free(set->hosts);
    X509_STORE_free(set->client_store);
    sk_X509_NAME_pop_free(set->client_names, X509_NAME_free);
    free(set);
}

/* One CERT with the KEY and OCSP that follow it. */
static int add_identity(struct tls_set *set, const struct vault_entry e[3], char why[TLS_WHY])
{
    const struct vault_entry *ocsp = e[VAULT_OCSP].path ? &e[VAULT_OCSP] : NULL;
    struct tls_cert *cert = tls_cert_new(set, &e[VAULT_CERT], &e[VAULT_KEY], ocsp, why);
    if (!cert)
        return -1;
    if (!*cert->host) {
        set->base = cert;
        return 0;
    }
    struct tls_cert **more = realloc(set->hosts, (set->n_hosts + 1) * sizeof(struct tls_cert *));
    if (!more) {
        tls_cert_free(cert);
        snprintf(why, TLS_WHY, "out of memory");
        return -1;
    }
    set->hosts = more;
    set->hosts[set->n_hosts++] = cert;
    return 0;
}

static int add_identities(struct tls_set *set, const char *copy, size_t n, char why[TLS_WHY])
{
    struct vault_entry next, e[3] = { { 0 } };
    size_t at = 0;
    for (;;) {
        bool more = vault_next(copy, n, &at, &next);
        if ((!more || next.kind == VAULT_CERT || next.kind >= VAULT_CA) && e[VAULT_KEY].path) {
            if (add_identity(set, e, why) < 0)
                return -1;
            memset(e, 0, sizeof e);
        }
        if (!more)
            return 0;
        if (next.kind < VAULT_CA)
            e[next.kind] = next;
    }
}

static const struct vault_entry *find_entry(const char *copy, size_t n, enum vault_kind kind, struct vault_entry *ret)
{
    size_t at = 0;
    while (vault_next(copy, n, &at, ret))
        if (ret->kind == kind)
            return ret;
    return NULL;
}

static struct span first_line(const struct vault_entry *e)
{
    struct span line = { e->data, 0 };
    while (line.n < e->n && e->data[line.n] != '\r' && e->data[line.n] != '\n')
        line.n++;
    return line;
}

static int fill(struct tls_set *set, const char *copy, size_t n, char why[TLS_WHY])
{
    struct vault_entry ca, password;
    if (find_entry(copy, n, VAULT_PASSWORD, &password))
        set->password = first_line(&password);
    if (tls_ctx_clients(set, find_entry(copy, n, VAULT_CA, &ca), why) < 0 || add_identities(set, copy, n, why) < 0)
        return -1;
    if (!set->base && !set->n_hosts) {
        snprintf(why, TLS_WHY, "tls.sni_dir holds no certificate, and there is no tls.certfile");
        return -1;
    }
    if (!set->base && !(set->base = tls_cert_new(set, NULL, NULL, NULL, why)))
        return -1;
    tls_sni_sort(set);
    SSL_CTX_set_tlsext_servername_callback(set->base->ctx, tls_sni_choose);
    SSL_CTX_set_tlsext_servername_arg(set->base->ctx, set);
    return 0;
}

static struct tls_set *set_new(struct tls *tls, char why[TLS_WHY])
{
    size_t n = 0;
    struct tls_set *set = calloc(1, sizeof *set);
    char *copy = vault_copy(tls->vault, &n, &tls->version);
    int r = -1;
    snprintf(why, TLS_WHY, "out of memory");
    if (set) {
        set->refs = 1;
        set->tls = tls;
    }
    if (set && copy)
        r = fill(set, copy, n, why);
    if (set)
        set->password = (struct span){ NULL, 0 };
    vault_forget(copy, n);
    if (r == 0)
        return set;
    tls_set_unref(set);
    return NULL;
}

/* --- what is said of them --- */

/* The one that ends first, for those who look at the scoreboard. */
static void tell_expiry(const struct tls *tls)
{
    const struct tls_set *set = tls->set;
    const struct tls_cert *first = set->base->pem ? set->base : NULL;
    struct score *score = tls->net->score;
    for (size_t i = 0; i < set->n_hosts; i++)
        if (!first || set->hosts[i]->expires < first->expires)
            first = set->hosts[i];
    if (!first)
        return;
    snprintf(score->tls_expires_path, sizeof score->tls_expires_path, "%s", first->path);
    atomic_store_explicit(&score->tls_expires, first->expires, memory_order_release);
}

/* --- all of it --- */

/* A socket that is not connected cannot be given to the kernel's TLS: the error tells whether there is one. */
static bool kernel_has_tls(void)
{
#ifdef OPENSSL_NO_KTLS
    return false;
#else
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && setsockopt(fd, SOL_TCP, TCP_ULP, "tls", sizeof "tls") < 0 && errno == ENOTCONN;
    if (fd >= 0)
        close(fd);
    return has;
#endif
}

static void offer(struct tls *tls, bool (*speaks)(const struct conf *conf, const char *alpn))
{
    const struct conf *conf = tls->net->conf;
    for (size_t i = 0; i < conf->tls.alpn.n; i++) {
        const char *name = conf->tls.alpn.v[i];
        size_t n = strlen(name);
        if (!speaks(conf, name) || tls->n_alpn + n + 1 > sizeof tls->alpn)
            continue;
        tls->alpn[tls->n_alpn] = (unsigned char)n;
        memcpy(tls->alpn + tls->n_alpn + 1, name, n);
        tls->n_alpn += (unsigned)n + 1;
    }
}

struct tls *tls_new(struct net *net, const struct vault *vault, const struct tickets *tickets,
                    bool (*speaks)(const struct conf *conf, const char *alpn), char why[TLS_WHY])
{
    struct tls *tls = calloc(1, sizeof *tls);
    snprintf(why, TLS_WHY, "out of memory");
    if (!tls)
        return NULL;
    tls->net = net;
    tls->vault = vault;
    tls->tickets = tickets;
    tls->ktls = kernel_has_tls();
    TAILQ_INIT(&tls->waiting);
    offer(tls, speaks);
    if (tls_bio_init(tls) == 0 && tls_tickets_init(tls) == 0 && (tls->set = set_new(tls, why))) {
        tell_expiry(tls);
        return tls;
    }
    tls_free(tls);
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    tls_set_unref(tls->set);
    tls_tickets_done(tls);
    tls_bio_done(tls);
    free(tls);
}

void tls_take(struct tls *tls)
{
    char why[TLS_WHY];
    if (vault_version(tls->vault) == tls->version)
        return;
    struct tls_set *set = set_new(tls, why);
    if (!set) {
        log_error("tls: the new certificates are not taken up: %s", why);
        return;
    }
    tls_set_unref(tls->set);
    tls->set = set;
    tell_expiry(tls);
    log_info("tls: new certificates are in use");
}

void tls_print_version(FILE *out)
{
    fprintf(out, "%s (built with %s)\n", OpenSSL_version(OPENSSL_VERSION), OPENSSL_VERSION_TEXT);
}
