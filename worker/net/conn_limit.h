/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_limit.h: limit.connections: counts a connection for its client as soon as that is known. */
#ifndef TINE_NET_CONN_LIMIT_H
#define TINE_NET_CONN_LIMIT_H

struct conn;

/* Its peer is who it will stay: counts it, and sets c->over_limit if its client has too many. 0, or -1: there are so many
 * that it is not worth an answer. */
int conn_limit_begin(struct conn *c);
/* It is about to be freed. */
void conn_limit_end(struct conn *c);

#endif
