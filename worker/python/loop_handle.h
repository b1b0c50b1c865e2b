/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_handle.h: Handle and TimerHandle of the loop: subclasses of asyncio's, made and run by C
 * through the slots that asyncio's own classes have, so that every attribute, repr and comparison
 * is asyncio's. */
#ifndef TINE_PYTHON_LOOP_HANDLE_H
#define TINE_PYTHON_LOOP_HANDLE_H

#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/python/pystate.h"

struct pyloop;

#define HANDLE_SLOT(handle, offset) (*(PyObject **)((char *)(handle) + (offset)))

/* Where a timer is in the heap of its loop. */
struct timer_place {
    size_t index_plus_one; /* 0, as freshly allocated: not in the heap */
};

static inline struct timer_place *handle_place(const struct pystate *st, PyObject *handle)
{
    return (struct timer_place *)((char *)handle + st->layout.place);
}

static inline bool handle_is_cancelled(const struct pystate *st, PyObject *handle)
{
    return HANDLE_SLOT(handle, st->layout.cancelled) != Py_False;
}

/* Where instances of class `type` hold its slot `name`; -1 with an exception set if it is no slot. */
Py_ssize_t loop_slot_offset(PyObject *type, const char *name);

/* Makes the types; 0, or -1 with an exception set. */
int loop_handle_init(PyObject *module, struct pystate *st);

/* A Handle for callback(*args); `context` may be NULL or None: a copy of the current one. `when`
 * NULL: a Handle, else a TimerHandle. New reference, or NULL with an exception set. */
PyObject *loop_handle_new(struct pyloop *loop, PyObject *when, PyObject *callback, PyObject *const *args, Py_ssize_t n,
                          PyObject *context);
/* For call_soon_threadsafe(): since Python 3.14 one whose cancel() in another thread waits for the callback's end. */
PyObject *loop_handle_new_shared(struct pyloop *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n,
                                 PyObject *context);

/* Marks one of our own handles as cancelled and drops callback and arguments, as Handle.cancel()
 * does. 0 or -1. */
int loop_handle_cancel(struct pyloop *loop, PyObject *handle);

/* Runs a handle unless it is cancelled. What the callback raises goes to the loop's exception
 * handler; 0, or -1 with an exception set that must leave the loop (SystemExit, KeyboardInterrupt).
 */
int loop_handle_run(struct pyloop *loop, PyObject *handle);

#endif
