/* SPDX-License-Identifier: BSD-3-Clause */
/* coro.h: the coroutine protocol as CPython's own coroutines speak it, for C types that act as one. */
#ifndef TINE_PYTHON_CORO_H
#define TINE_PYTHON_CORO_H

#include <Python.h>

/* Makes `type` a collections.abc.Coroutine (and so an Awaitable), which asyncio.iscoroutine() and create_task() ask
 * for. 0, or -1 with an exception set. */
int coro_register(PyTypeObject *type) __attribute__((warn_unused_result));

/* Sets StopIteration(value), also for a tuple or an exception, which PyErr_SetObject() would take apart. */
void coro_stop(PyObject *value);

/* The exception that throw(*args) asks for: throw(exception) or the old throw(type[, value[, traceback]]). New
 * reference to an exception instance, or NULL with TypeError set. */
PyObject *coro_throw_argument(PyObject *const *args, Py_ssize_t n);

/* raise exception (borrowed): its context becomes what is being handled. */
void coro_raise(PyObject *exception);
/* Sets `exception` (stolen) again as it was when it was taken: nothing is added to it. */
void coro_restore(PyObject *exception);

/* What `await object` iterates over: the coroutine itself, or the iterator of its __await__. New reference, or NULL
 * with the TypeError that await raises. */
PyObject *coro_awaitable_iterator(PyObject *object);
/* inspect.iscoroutinefunction() and asyncio's take callables of the type for coroutine functions. 0, or -1 with an exception set. */
int coro_mark_function(PyTypeObject *type);

#endif
