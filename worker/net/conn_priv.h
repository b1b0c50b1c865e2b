/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_priv.h: what the files of a connection (conn*.c) share. */
#ifndef TINE_NET_CONN_PRIV_H
#define TINE_NET_CONN_PRIV_H

#include "worker/net/conn.h"
#include "worker/net/transport_io.h"

/* conn.c: the connection has ended; closes the socket now and queues the rest for the sweep. */
void conn_die(struct conn *c, enum conn_end why);
/* conn.c: too much is kept for it: ends it as its protocol does. */
void conn_too_much(struct conn *c);
/* conn.c: everything is sent and conn_close() was called before. */
void conn_flushed(struct conn *c);

/* conn_in.c */
void conn_on_readable(evutil_socket_t fd, short what, void *arg);
void conn_on_again(evutil_socket_t fd, short what, void *arg);
/* Whoever was read from, and not written to for a while, is read from again. */
void conn_on_doubts(evutil_socket_t fd, short what, void *arg);
/* Throws input away after our last answer. */
void conn_linger_read(struct conn *c);

/* conn_too_slow.c: output begins to wait for the peer; nothing waits any more; the deadline has come: whether the peer is
 * too slow. */
void conn_progress_begin(struct conn *c);
void conn_progress_end(struct conn *c);
bool conn_progress_late(struct conn *c);
/* conn_memory.c */
void conn_memory_init(struct net *net);
/* Counts what the buffers hold; the second one says false, and counts nothing, where that is too much. */
void conn_weigh(struct conn *c);
bool conn_may_keep_input(struct conn *c) __attribute__((warn_unused_result));
/* Free memory goes back to the system a second from now. */
void conn_trim_soon(struct net *net);

/* conn_out.c */
void conn_on_writable(evutil_socket_t fd, short what, void *arg);

#endif
