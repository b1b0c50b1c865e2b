/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_io.h: what the parts of a connection (conn.c, conn_in.c, conn_out.c) tell each other; nobody else includes it. */
#ifndef TINE_NET_CONN_IO_H
#define TINE_NET_CONN_IO_H

#include "worker/net/conn.h"

/* conn.c: the connection is over; closes the socket now and queues the rest for the sweep. */
void conn_die(struct conn *c, enum conn_end why);
/* conn.c: too much is kept for it: ends it, in the word of its protocol. */
void conn_too_much(struct conn *c);
/* conn.c: everything is sent and conn_close() was called before. */
void conn_flushed(struct conn *c);

/* conn_in.c */
void conn_on_readable(evutil_socket_t fd, short what, void *arg);
void conn_on_again(evutil_socket_t fd, short what, void *arg);
/* Looks at the connection again in the next turn. */
void conn_again(struct conn *c);
/* Whoever was read from, and not written to by the end of the turn, is read from again. */
void conn_settle_doubts(struct net *net);
/* Throws input away after our last answer. */
void conn_linger_read(struct conn *c);

/* conn_progress.c: output begins to wait for the peer; the socket has taken n bytes of it; nothing waits any more;
 * the deadline has come: whether the peer is too slow. */
void conn_progress_begin(struct conn *c);
void conn_progress(struct conn *c, uint64_t n);
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
/* conn_on_writable() follows when the socket takes bytes. */
void conn_wait_writable(struct conn *c);
void conn_on_writable(evutil_socket_t fd, short what, void *arg);

#endif
