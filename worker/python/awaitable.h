/* SPDX-License-Identifier: BSD-3-Clause */
/* awaitable.h: awaitables that complete at once, without a Future: what receive() and send() return when they need not
 * wait. Behaves as a coroutine that returns: await, send, throw, close, isinstance(x, collections.abc.Coroutine). */
#ifndef TINE_PYTHON_AWAITABLE_H
#define TINE_PYTHON_AWAITABLE_H

#include <Python.h>

struct awaitables; /* type and free list of an interpreter */

struct awaitables *awaitables_new(void); /* NULL: exception set */
void awaitables_free(struct awaitables *a);

/* An awaitable whose result is `value` (stolen; NULL: returns NULL, exception left set). */
PyObject *awaitable_value(struct awaitables *a, PyObject *value);
/* An awaitable whose result is None; the same object each time. New reference. */
PyObject *awaitable_none(struct awaitables *a);
/* An awaitable that raises `exception` (borrowed) when awaited. */
PyObject *awaitable_raise(struct awaitables *a, PyObject *exception);

#endif
