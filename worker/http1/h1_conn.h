/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_conn.h: HTTP/1.0 and 1.1 on a connection. */
#ifndef TINE_HTTP_H1_CONN_H
#define TINE_HTTP_H1_CONN_H

struct proto_ops;
extern const struct proto_ops proto_h1;
/* For clients that speak plain HTTP to a TLS port: one answer, 400, and the end. */
extern const struct proto_ops proto_h1_not_tls;

#endif
