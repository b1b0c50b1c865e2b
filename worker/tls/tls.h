/* SPDX-License-Identifier: BSD-3-Clause */
/* tls.h: TLS under a connection: a transport, the protocol that stands in until the handshake has ended, and the
 * certificates of the worker. OpenSSL's types do not leave this folder.
 *
 * Python's ssl module uses the same library in this process: nothing here may change OpenSSL's global state, and nothing
 * may trust that its error queue is empty.
 */
#ifndef TINE_NET_TLS_H
#define TINE_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/span.h"

struct conf;
struct conn;
struct net;
struct tickets;
struct tls;
struct vault;

extern const struct transport_ops transport_tls;
/* The first protocol of a connection that begins with a handshake: makes it a TLS connection, then asks
 * net->choose_proto() again, which finds the transport changed and tls_alpn() answered. */
extern const struct proto_ops proto_tls;

/* Room for why certificates are refused. */
#define TLS_WHY 512

/* `speaks` says whether this worker has an ALPN protocol of tls.alpn to offer. NULL: `why` says what is wrong with the
 * configuration or its files. */
struct tls *tls_new(struct net *net, const struct vault *vault, const struct tickets *tickets,
                    bool (*speaks)(const struct conf *conf, const char *alpn), char why[TLS_WHY]);
/* After the last connection has gone. */
void tls_free(struct tls *tls);
/* New files are in the vault: new connections get them, unless something is wrong with them (logged). */
void tls_take(struct tls *tls);
/* Once a loop turn. */
void tls_turn(struct tls *tls);

/* --- a connection whose transport is transport_tls, after its handshake --- */

/* "" if none was agreed on. */
struct span tls_alpn(const struct conn *c);

struct tls_info {
    unsigned version; /* 0x0303, 0x0304 */
    unsigned cipher; /* its number at IANA */
    const char *cipher_name;
    struct span server_cert; /* PEM; as long as the connection */
    uint64_t server_cert_id; /* the same number: the same certificate */
    bool has_client_cert;
};

void tls_info(const struct conn *c, struct tls_info *ret);
/* Appends the client's i-th certificate as PEM, its own first. False: there is none, or no memory. */
bool tls_client_cert(const struct conn *c, size_t i, struct buf *to);
/* Appends the subject of the client's certificate as RFC 4514 text in UTF-8. False: there is none, or no memory. */
bool tls_client_name(const struct conn *c, struct buf *to);

/* The connection and the client's certificate in the variables of Apache's mod_ssl: "SSL_CLIENT_VERIFY\0SUCCESS\0" and
 * so on; made once and kept with the connection. n = 0: they cannot be had. */
struct span tls_variables(const struct conn *c);

/* "OpenSSL 3.0.19 27 Jan 2026 (built with ...)" */
void tls_print_version(FILE *out);

#endif
