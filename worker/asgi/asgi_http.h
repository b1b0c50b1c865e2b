/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_http.h: HTTP requests for the application, and its messages for the client (ASGI HTTP 2.5). */
#ifndef TINE_ASGI_ASGI_HTTP_H
#define TINE_ASGI_ASGI_HTTP_H

#include "worker/http/handler.h"

struct asgi;

/* Makes the exchange type. 0 or -1 with an exception set. */
int asgi_http_init(struct asgi *asgi);

extern const struct handler_ops asgi_handler_ops;

#endif
