/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_conn.h: HTTP/2 (RFC 9113) on a connection, by nghttp2. */
#ifndef TINE_HTTP_H2_CONN_H
#define TINE_HTTP_H2_CONN_H

struct proto_ops;
extern const struct proto_ops proto_h2;

/* Version of nghttp2, "1.52.0". */
const char *h2_version(void);

#endif
