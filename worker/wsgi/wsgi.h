/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi.h: WSGI (PEP 3333) as an interface for applications. */
#ifndef TINE_WSGI_WSGI_H
#define TINE_WSGI_WSGI_H

struct interface_ops;
extern const struct interface_ops interface_wsgi;

#endif
