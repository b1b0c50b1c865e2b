/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_environ.h: environ of a request (PEP 3333, with what gunicorn adds and frameworks use). GIL held. */
#ifndef TINE_WSGI_WSGI_ENVIRON_H
#define TINE_WSGI_WSGI_ENVIRON_H

#include <Python.h>

struct wsgi;
struct wsgi_call;

/* Makes what all have in common; `errors` is wsgi.errors. 0 or -1 with an exception set. */
int wsgi_environ_init(struct wsgi *wsgi, PyObject *errors);
void wsgi_environ_done(struct wsgi *wsgi);

/* New reference, wsgi.input included; NULL: exception set. */
PyObject *wsgi_environ_new(struct wsgi_call *c);

#endif
