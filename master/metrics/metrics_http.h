/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics_http.h: the listener's HTTP, which is libevent's: its sockets, its clients, what is at which path. */
#ifndef TINE_MASTER_METRICS_HTTP_H
#define TINE_MASTER_METRICS_HTTP_H

#include <stddef.h>

struct history;
struct listener;
struct service;
struct metrics_http;

/* NULL: out of memory. */
struct metrics_http *metrics_http_new(const struct service *service, const struct history *history);
void metrics_http_free(struct metrics_http *http);
/* Accepts from copies of these sockets, and from no others. */
void metrics_http_listen(struct metrics_http *http, const struct listener *listeners, size_t n);
/* Ends clients that were quiet for too long. Once a second. */
void metrics_http_tick(struct metrics_http *http);

#endif
