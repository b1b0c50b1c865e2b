/* SPDX-License-Identifier: BSD-3-Clause */
/* sock_wait.h: an operation on a socket of the application's (loop.sock_recv() and its kind) that waits until the socket is
 * ready. */
#ifndef TINE_PYTHON_SOCK_WAIT_H
#define TINE_PYTHON_SOCK_WAIT_H

#include <Python.h>
#include <stddef.h>

#include "worker/python/pystate.h"

struct pyloop;

struct sock_call {
    /* Tries the operation: 1 with *ret_result a new reference, 0 if it has to wait, -1 with an exception set. It may run
     * code of the application's, which may end the wait. */
    int (*attempt)(struct pystate *st, struct sock_call *call, PyObject **ret_result);
    PyObject *sock; /* borrowed; a wait holds it, and NULL once it has ended; the same of `argument` */
    PyObject *argument; /* as the application has given it; may be NULL */
    Py_buffer view; /* of what is sent; .obj NULL: nothing is */
    size_t size; /* how much is wanted */
    size_t sent;
};

/* Has call->attempt() called each time the socket is ready for `kind`, one of WATCH_READ and WATCH_WRITE; takes
 * call->view, also on failure. A SockWait, whose `future` has the end; its end() is to be called whatever happens.
 * NULL: exception set. */
PyObject *sock_wait_new(struct pystate *st, struct pyloop *loop, struct sock_call *call, int kind);

/* Makes the type. 0, or -1 with an exception set. */
int sock_wait_type_init(PyObject *module, struct pystate *st);

#endif
