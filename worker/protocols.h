/* SPDX-License-Identifier: BSD-3-Clause */
/* protocols.h: the only list of protocols: which one speaks on a connection. */
#ifndef TINE_WORKER_PROTOCOLS_H
#define TINE_WORKER_PROTOCOLS_H

#include <stdbool.h>

struct conf;
struct conn;
struct proto_ops;

/* On a new connection, and again after its PROXY protocol header and its TLS handshake. */
const struct proto_ops *protocols_choose(struct conn *c);
/* Whether this worker can speak what ALPN calls by this name. */
bool protocols_speaks(const struct conf *conf, const char *alpn);
/* HTTP/2; NULL: built without. */
const struct proto_ops *protocols_http2(void);

#endif
