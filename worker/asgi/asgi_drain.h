/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_drain.h: what the end of the worker is to its requests. Browsers open an event stream again by themselves when it has
 * ended (EventSource): one that answers a GET gets http.disconnect when the service stops, and is ended as if the
 * application had completed it. All others, and these too where another worker takes the place of this one (a reload), may continue until server.graceful_timeout; who wants to know waits for
 * scope["tine.draining"]. GIL held, in the loop's thread. */
#ifndef TINE_ASGI_ASGI_DRAIN_H
#define TINE_ASGI_ASGI_DRAIN_H

#include <stdbool.h>

struct asgi;
struct exchange;
struct resp_head;

/* 0, or -1 with an exception set. */
int asgi_drain_init(struct asgi *asgi);
void asgi_drain_done(struct asgi *asgi);

/* The answer of this exchange has begun. */
void asgi_drain_started(struct exchange *x, const struct resp_head *head);
/* Its request has ended. */
void asgi_drain_forget(struct exchange *x);
/* Whether receive() says http.disconnect because of it. */
bool asgi_drain_disconnects(const struct exchange *x);

/* The worker begins to drain, or the service stops while it does. */
void asgi_drain(struct asgi *asgi, bool service_stops);

#endif
