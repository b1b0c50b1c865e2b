/* SPDX-License-Identifier: BSD-3-Clause */
/* accept.h: takes connections from the listening sockets. Stops at worker_connections and when descriptors or memory
 * run out (EMFILE, ENFILE, ENOBUFS, ENOMEM), without spinning, and recovers by itself. */
#ifndef TINE_NET_ACCEPT_H
#define TINE_NET_ACCEPT_H

#include <stddef.h>

struct acceptor;
struct listener;
struct net;
struct scoreboard;

/* Begins to accept on all listeners and sets net->on_conn_gone. `board`: the other workers on the same sockets; NULL: there
 * are none. NULL with errno. */
struct acceptor *acceptor_new(struct net *net, const struct listener *listeners, size_t n,
                              const struct scoreboard *board);
/* Takes connections that wait, whatever its share. */
void acceptor_look(struct acceptor *a);
/* Stops accepting for good and closes this process's listening descriptors. Accepts first what is in the queue now. */
void acceptor_stop(struct acceptor *a);
void acceptor_free(struct acceptor *a);

#endif
