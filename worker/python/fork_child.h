/* SPDX-License-Identifier: BSD-3-Clause */
/* fork_child.h: Python in a process that the application has forked (common/forked.h). It may do what it likes, with an
 * own event loop if it wants one, but not answer its parent's requests; and when it comes back to us, as by
 * sys.exit() or an exception that was not caught, it ends. GIL held throughout. */
#ifndef TINE_PYTHON_FORK_CHILD_H
#define TINE_PYTHON_FORK_CHILD_H

#include <Python.h>
#include <stdbool.h>

#include "common/forked.h"

#define FORK_CHILD_MODULE "_tine_fork_child" /* fork_child.py under this name is the Python half */

/* Once an interpreter, before the application: has its children forget the event loop. 0, or -1 with an exception set. */
int fork_child_prepare(PyObject *module);

/* Ends the process: see fork_child_came_back(). */
_Noreturn void fork_child_end(PyObject *callback, bool waits);

/* To be called wherever control comes back from the application, before anything of ours is touched: in a child it does
 * not return. The exception that is set is the application's: SystemExit gives the exit status, another one goes to the
 * error log and gives 1, none gives 0. Neither atexit functions nor lifespan shutdown run.
 * callback: what the event loop has called, or its handle, NULL: something else; waits: a coroutine that is not done, which is an error. */
static inline void fork_child_came_back(PyObject *callback, bool waits)
{
    if (forked_is_child())
        fork_child_end(callback, waits);
}

/* For what the application may call: 0, or -1 with RuntimeError in a child, where `what` ("the request") is its parent's. */
int fork_child_raise(const char *what);
static inline int fork_child_refuse(const char *what)
{
    return forked_is_child() ? fork_child_raise(what) : 0;
}

#endif
