/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_lifespan.h: the lifespan of an application in its worker (ASGI lifespan 2.0). */
#ifndef TINE_ASGI_ASGI_LIFESPAN_H
#define TINE_ASGI_ASGI_LIFESPAN_H

#include <Python.h>

#include "worker/app/interface.h"

struct asgi;

/* Makes the type. 0 or -1 with an exception set. */
int asgi_lifespan_init(struct asgi *asgi);
/* As interface_ops.start and .stop; inside the running loop. */
void asgi_lifespan_start(struct asgi *asgi, void (*done)(void *, enum interface_start, const char *), void *arg);
void asgi_lifespan_stop(struct asgi *asgi, void (*done)(void *), void *arg);
/* True while the application's lifespan coroutine runs: it counts among the running tasks. */
bool asgi_lifespan_running(const struct asgi *asgi);

#endif
