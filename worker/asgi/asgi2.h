/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi2.h: ASGI 2 applications, which are called twice: app(scope)(receive, send). */
#ifndef TINE_ASGI_ASGI2_H
#define TINE_ASGI_ASGI2_H

#include <Python.h>

/* An ASGI 3 application that calls `application`. New reference; NULL: exception set. */
PyObject *asgi2_wrap(PyObject *application);

#endif
