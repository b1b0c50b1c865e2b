/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_input.h: wsgi.input, a file to read the request's body from. Bytes that are not here yet are waited for without
 * the GIL; at most 320 KB lie ready here, and 64 KB more with the connection. */
#ifndef TINE_WSGI_WSGI_INPUT_H
#define TINE_WSGI_WSGI_INPUT_H

#include <Python.h>

struct wsgi;
struct wsgi_call;

/* Makes the type. 0 or -1 with an exception set. */
int wsgi_input_init(struct wsgi *wsgi);
PyObject *wsgi_input_new(struct wsgi_call *c);

/* The loop's thread: gives the application what has come, and asks the connection for more. */
void wsgi_input_feed(struct wsgi_call *c);

/* The loop's thread: counts what of the body waits for the application (net/memory.h). Not after on_end. */
void wsgi_input_weigh(struct wsgi_call *c);

#endif
