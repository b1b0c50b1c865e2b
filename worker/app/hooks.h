/* SPDX-License-Identifier: BSD-3-Clause */
/* hooks.h: functions of a module (app.hooks) that are called at turns of a worker's life, by the names and with the arguments
 * that gunicorn has. All of them run in workers: the master has no Python. GIL held. */
#ifndef TINE_APP_HOOKS_H
#define TINE_APP_HOOKS_H

#include <Python.h>
#include <sys/types.h>

#include "common/ipc.h"

/* The module: "pkg.mod" or "path/to/file.py". New reference; NULL: exception set. */
PyObject *hooks_load(const char *module);
/* Calls the one of this name, if there is one, for the worker with this number and process id. 0, or -1 with an exception
 * set. `hooks` may be NULL: there are none. */
int hooks_call(PyObject *hooks, enum ipc_hook_name name, unsigned number, pid_t pid);
/* Logs the exception that is set if the call has failed. */
void hooks_log(enum ipc_hook_name name, int result);

#endif
