/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi.h: ASGI 3 and ASGI 2 as interfaces for applications. */
#ifndef TINE_ASGI_ASGI_H
#define TINE_ASGI_ASGI_H

struct interface_ops;
extern const struct interface_ops interface_asgi, interface_asgi2;

#endif
