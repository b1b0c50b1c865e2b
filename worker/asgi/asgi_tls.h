/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_tls.h: the extension "tls" of a scope (asgiref, specs/tls.rst). */
#ifndef TINE_ASGI_ASGI_TLS_H
#define TINE_ASGI_ASGI_TLS_H

#include <Python.h>

struct asgi;
struct conn;

/* What scope["extensions"]["tls"] holds on this connection, which is one of TLS. New reference to a dictionary that all
 * requests on the connection may share; NULL: exception set. */
PyObject *asgi_tls_new(struct asgi *asgi, const struct conn *c);

#endif
