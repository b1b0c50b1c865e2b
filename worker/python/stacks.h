/* SPDX-License-Identifier: BSD-3-Clause */
/* stacks.h: the Python stacks of a worker that hangs, written by a signal handler. */
#ifndef TINE_PYTHON_STACKS_H
#define TINE_PYTHON_STACKS_H

#include <Python.h>

/* From now on SIGUSR2 writes the Python stack of every thread of this interpreter to `fd`, also
 * while Python code runs for ever or native code holds the GIL. `fd` must stay open. May be called
 * again with another one. GIL held. 0, or -1 with an exception set. */
int stacks_enable(int fd) __attribute__((warn_unused_result));
/* Ends it, before a fork in which it is enabled again. */
void stacks_disable(void);

/* The Python stack of a thread of this interpreter, as a traceback has it; malloc'ed. NULL: it has none, or no memory. `ident`:
 * as of threading.get_ident(). GIL held; leaves no exception set. */
char *stacks_of_thread(unsigned long ident);

/* The same of a frame and of those that have called it. */
char *stacks_of_frame(PyObject *frame);

/* After each of them 1 is written to `fd`, an eventfd, for what lies on no thread's stack: Python can add it to the same
 * descriptor, if it runs. */
void stacks_then(int fd);

#endif
