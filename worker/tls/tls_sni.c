/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_sni.c: which certificate: by the name that the client asks for (RFC 6066 3). An exact name, else a wildcard one level
 * above it, else tls.certfile; where there is none, the handshake ends with unrecognized_name. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "worker/tls/tls_priv.h"

#define NAME_MAX_LENGTH 255

static int compare(const void *a, const void *b)
{
    const struct tls_cert *const *x = a, *const *y = b;
    return strcmp((*x)->host, (*y)->host);
}

void tls_sni_sort(struct tls_set *set)
{
    if (set->n_hosts)
        qsort(set->hosts, set->n_hosts, sizeof *set->hosts, compare);
}

static struct tls_cert *find_host(const struct tls_set *set, char *host)
{
    struct tls_cert key = { .host = host }, *p = &key, **found = NULL;
    if (set->n_hosts)
        found = bsearch(&p, set->hosts, set->n_hosts, sizeof *set->hosts, compare);
    return found ? *found : NULL;
}

/* `name` as it is compared, with room for a "*" in front: at to + 1. False: it is no name of a host. */
static bool normalise(char to[NAME_MAX_LENGTH + 2], const char *name)
{
    size_t n = strlen(name);
    if (n && name[n - 1] == '.')
        n--;
    if (!n || n > NAME_MAX_LENGTH)
        return false;
    for (size_t i = 0; i < n; i++)
        to[i + 1] = (char)tolower((unsigned char)name[i]);
    to[n + 1] = '\0';
    return true;
}

static struct tls_cert *choose(const struct tls_set *set, const char *name)
{
    char host[NAME_MAX_LENGTH + 2];
    if (!name || !normalise(host, name) || host[1] == '*')
        return NULL;
    struct tls_cert *cert = find_host(set, host + 1);
    char *dot = cert ? NULL : strchr(host + 1, '.');
    if (dot && dot > host + 1 && dot[1]) { /* there is a label for the "*" to stand for */
        dot[-1] = '*';
        cert = find_host(set, dot - 1);
    }
    return cert;
}

int tls_sni_choose(SSL *ssl, int *alert, void *arg)
{
    const struct tls_set *set = arg;
    struct tls_cert *cert = choose(set, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    if (!cert && !set->base->pem) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (!cert)
        return SSL_TLSEXT_ERR_OK;
    if (!SSL_set_SSL_CTX(ssl, cert->ctx)) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}
