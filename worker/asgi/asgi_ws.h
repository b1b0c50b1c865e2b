/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ws.h: a WebSocket as the application sees it (ASGI WebSocket 2.5). */
#ifndef TINE_ASGI_ASGI_WS_H
#define TINE_ASGI_ASGI_WS_H

#include <Python.h>
#include <stdbool.h>

#include "worker/asgi/asgi_channel.h"
#include "worker/http/req.h"

struct asgi;

extern const struct channel_ops websocket_channel_ops;
extern const struct handler_ops websocket_handler_ops;

/* Makes the type. 0 or -1 with an exception set. */
int asgi_ws_init(struct asgi *asgi);

/* A request that has an Upgrade field. False: it is an ordinary one; true: it was taken or answered. */
bool asgi_ws_takes(struct asgi *asgi, struct req *r);

/* Of a request whose user is set: it was taken, and its events belong to websocket_handler_ops. */
static inline bool asgi_ws_owns(const struct req *r)
{
    return ((const struct channel *)r->user)->ops == &websocket_channel_ops;
}

#endif
