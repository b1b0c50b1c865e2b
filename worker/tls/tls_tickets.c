/* SPDX-License-Identifier: BSD-3-Clause */
/* tls_tickets.c: seals and opens session tickets with the keys that the master shares among the workers (RFC 5077 4). */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/tickets.h"
#include "worker/tls/tls_priv.h"

int tls_tickets_init(struct tls *tls)
{
    memcpy(tls->ticket_digest, "SHA256", sizeof "SHA256");
    tls->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return tls->ticket_cipher ? 0 : -1;
}

void tls_tickets_done(struct tls *tls)
{
    EVP_CIPHER_free(tls->ticket_cipher);
}

static int set_mac(const struct tls *tls, EVP_MAC_CTX *mac, const struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac, sizeof key->hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)tls->ticket_digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params);
}

static int seal(const struct tls *tls, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key key = *tickets_present(tls->tickets);
    int ok = RAND_bytes(iv, EVP_CIPHER_get_iv_length(tls->ticket_cipher)) == 1 &&
             EVP_EncryptInit_ex2(cipher, tls->ticket_cipher, key.aes, iv, NULL) && set_mac(tls, mac, &key);
    memcpy(name, key.name, sizeof key.name);
    OPENSSL_cleanse(&key, sizeof key);
    return ok ? 1 : -1;
}

/* 1: opened; 2: opened, and the client gets a new one; 0: not one of ours, a full handshake follows. */
static int open_ticket(const struct tls *tls, const unsigned char *name, const unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct ticket_key *present = tickets_present(tls->tickets), *before = tickets_before(tls->tickets);
    bool fresh = memcmp(name, present->name, sizeof present->name) == 0;
    if (!fresh && memcmp(name, before->name, sizeof before->name) != 0)
        return 0;
    struct ticket_key key = fresh ? *present : *before;
    int ok = EVP_DecryptInit_ex2(cipher, tls->ticket_cipher, key.aes, iv, NULL) && set_mac(tls, mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    return !ok ? -1 : fresh ? 1 : 2;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int sealing)
{
    const struct tls *tls = tls_cert_of(ssl)->set->tls;
    return sealing ? seal(tls, name, iv, cipher, mac) : open_ticket(tls, name, iv, cipher, mac);
}

int tls_tickets_enable(SSL_CTX *ctx)
{
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) ? 0 : -1;
}
