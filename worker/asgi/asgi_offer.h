/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_offer.h: scope["extensions"] with app.asgi_extensions = auto: http.response.pathsend is offered to Starlette's
 * FileResponse (and so to its StaticFiles and FastAPI) where nobody but the server would see the message.
 *
 * Which middleware and which endpoint's own code stand in between is not known before the response is there, and differs
 * from route to route. So it is looked at when FileResponse asks "http.response.pathsend" in scope["extensions"]: its
 * `send` leads, from function to function, to the server's own send(), and all on the way must be known to pass on what they
 * do not know. Nobody else who asks finds it, and a copy of the dictionary never has it.
 */
#ifndef TINE_ASGI_ASGI_OFFER_H
#define TINE_ASGI_ASGI_OFFER_H

#include <Python.h>

struct asgi;
struct req;

/* Once the application has been loaded. 0 or -1 with an exception set. */
int asgi_offer_init(struct asgi *asgi);
void asgi_offer_done(struct asgi *asgi);

/* A copy of the dictionary for one request. New reference; NULL: exception set. */
PyObject *asgi_offer_copy(struct asgi *asgi, PyObject *extensions, const struct req *r);

#endif
