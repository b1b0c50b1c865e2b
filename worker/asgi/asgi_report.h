/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_report.h: what the log says of an application that failed: traceback, request line and client. */
#ifndef TINE_ASGI_ASGI_REPORT_H
#define TINE_ASGI_ASGI_REPORT_H

#include <Python.h>

struct asgi;
struct exchange;

/* The application raised. Quiet about what a disconnect made it raise, and about cancellation. */
void asgi_report_exception(struct asgi *asgi, PyObject *scope, PyObject *exception);
/* Before anything was answered: says so, once, if it shows that the application has another interface. */
void asgi_report_mismatch(struct asgi *asgi, PyObject *exception);
/* It returned something; the connection closes after the answer. */
void asgi_report_value(struct exchange *x, PyObject *value);
/* It returned without a complete answer. */
void asgi_report_incomplete(struct exchange *x);
/* It returned `value` from a websocket scope; `what` says what it left undone (NULL: nothing). */
void asgi_report_websocket(struct asgi *asgi, PyObject *scope, PyObject *value, const char *what);

/* pytask_describe_fn: "GET /path", without the query. */
void asgi_describe_step(PyObject *arg, char *to, size_t size);

#endif
