/* SPDX-License-Identifier: BSD-3-Clause */
/* tasks_text.h: the tasks of a loop as text for people (tinectl tasks): for each the chain of what it awaits. */
#ifndef TINE_APP_TASKS_TEXT_H
#define TINE_APP_TASKS_TEXT_H

#include <Python.h>

/* Writes it to a pipe that does not block, as much as fits. loop: asyncio's; None: the tasks are the host's (loop_ops.h; NULL:
 * none). described: {task, or scope of one of the host's: what it works for}. From the loop's thread, outside of any task;
 * GIL held. 0, or -1 with an exception set. */
int tasks_text_write(int fd, PyObject *loop, PyObject *described, PyObject *host);

#endif
