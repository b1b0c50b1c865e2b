/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_start.h: start_response() and the write() that it returns. GIL held. */
#ifndef TINE_WSGI_WSGI_START_H
#define TINE_WSGI_WSGI_START_H

#include <Python.h>
#include <stdint.h>

struct wsgi;
struct wsgi_answer;
struct wsgi_call;

/* Makes the type. 0 or -1 with an exception set. */
int wsgi_start_init(struct wsgi *wsgi);
PyObject *wsgi_start_new(struct wsgi_call *c);

/* The application left Content-Length out and it is known. */
void wsgi_answer_set_length(struct wsgi_answer *a, uint64_t length);

#endif
