/* SPDX-License-Identifier: BSD-3-Clause */
/* transport_io.h: what a transport (transport.h) may ask of the connection above it. */
#ifndef TINE_NET_TRANSPORT_IO_H
#define TINE_NET_TRANSPORT_IO_H

#include <stdint.h>

struct conn;

/* The transport has input, or may try again, although the socket has no event: the connection is looked at again in the
 * next turn. */
void conn_again(struct conn *c);
/* The transport keeps bytes that the socket did not take: transport_ops.flush follows when it does. */
void conn_wait_writable(struct conn *c);
/* The socket has taken n of those bytes: the peer is not too slow. */
void conn_progress(struct conn *c, uint64_t n);

#endif
