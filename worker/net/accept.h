/* SPDX-License-Identifier: BSD-3-Clause */
/* accept.h: takes connections from the listening sockets. Stops at worker_connections and when descriptors or memory
 * run out (EMFILE, ENFILE, ENOBUFS, ENOMEM), without spinning, and recovers by itself. */
#ifndef TINE_NET_ACCEPT_H
#define TINE_NET_ACCEPT_H

#include <stdbool.h>
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
/* Events that reported connections so far. */
unsigned long acceptor_events(const struct acceptor *a);
/* How often acceptor_look() found some since the last event. */
unsigned acceptor_untold(const struct acceptor *a);
/* Whether a connection waits, now, that an event should report. */
bool acceptor_is_awaited(const struct acceptor *a);
/* Gives epoll its listening sockets again, if they are watched at the moment. */
void acceptor_watch_anew(struct acceptor *a);
/* Nothing here can answer: leaves connections in the queue, for other workers, until it is called with false. */
void acceptor_hold(struct acceptor *a, bool hold);
/* Stops accepting for good and closes this process's listening descriptors. Accepts first what is in the queue now,
 * unless it holds. */
void acceptor_stop(struct acceptor *a);
void acceptor_free(struct acceptor *a);

#endif
