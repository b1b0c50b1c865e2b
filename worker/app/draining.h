/* SPDX-License-Identifier: BSD-3-Clause */
/* draining.h: the event by which an application notices that its worker has begun to stop. GIL held. */
#ifndef TINE_APP_DRAINING_H
#define TINE_APP_DRAINING_H

#include <Python.h>

enum draining_kind {
    DRAINING_TASKS, /* of the worker's loop */
    DRAINING_THREADS,
    DRAINING_GREENLETS,
};

/* For those that wait for it. New reference; NULL: exception set. */
PyObject *draining_new(enum draining_kind kind);
/* Sets it, in the loop's thread. What waits for it runs later. Leaves no exception set. */
void draining_tell(PyObject *event);

#endif
