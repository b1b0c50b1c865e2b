/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_errors.h: wsgi.errors, a text stream whose text goes to the error log, a record for each write() that ends a line, a
 * traceback whole, at the level that it names or else as an error. */
#ifndef TINE_WSGI_WSGI_ERRORS_H
#define TINE_WSGI_WSGI_ERRORS_H

#include <Python.h>

struct wsgi;

/* Makes the type. 0 or -1 with an exception set. */
int wsgi_errors_init(struct wsgi *wsgi);
/* A new stream; NULL: exception set. */
PyObject *wsgi_errors_new(struct wsgi *wsgi);

#endif
