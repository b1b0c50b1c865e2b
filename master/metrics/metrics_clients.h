/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics_clients.h: the connections of the metrics listener, bounded in number and in time: a client that sends nothing
 * useful must not keep others from looking. */
#ifndef TINE_MASTER_METRICS_CLIENTS_H
#define TINE_MASTER_METRICS_CLIENTS_H

struct bufferevent;
struct event_base;
struct metrics_clients;

/* NULL: out of memory. */
struct metrics_clients *metrics_clients_new(void);
/* After the last of the connections. */
void metrics_clients_free(struct metrics_clients *clients);
/* For evhttp_set_bevcb(): the stream of the next connection. When there are too many, the one that was quiet for the
 * longest time is closed. */
struct bufferevent *metrics_clients_open(struct event_base *base, void *clients);
/* Ends those that were quiet for too long. Once a second or so. */
void metrics_clients_tick(struct metrics_clients *clients);
/* A request came on this connection: it may live on for a while. */
void metrics_clients_touch(struct metrics_clients *clients, const struct bufferevent *stream);

#endif
