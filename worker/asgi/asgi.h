/* asgi.h: ASGI 3 as an interface for applications. */
#ifndef TINE_ASGI_ASGI_H
#define TINE_ASGI_ASGI_H

struct interface_ops;
extern const struct interface_ops interface_asgi;

#endif
