/* SPDX-License-Identifier: BSD-3-Clause */
/* hooks.c: see hooks.h. */
#include "worker/app/hooks.h"

#include <unistd.h>

#include "common/log.h"
#include "worker/app/app_load.h"
#include "worker/app/hooks_py.h"
#include "worker/python/fork_child.h"
#include "worker/python/pyerr.h"
#include "worker/python/pystate.h"

PyObject *hooks_load(const char *module)
{
    PyObject *hooks = app_import(module);
    PyObject *master =
        hooks ? PyLong_FromLong(getppid()) : NULL; /* a worker that a mold has just forked has another parent */
    if (hooks && (!master || PyObject_SetAttrString(hooks, "_tine_master", master) < 0))
        Py_CLEAR(hooks);
    Py_XDECREF(master);
    return hooks;
}

static const char *hooks_name(enum ipc_hook_name name)
{
    static const char *const names[] = {
        [IPC_HOOK_POST_FORK] = "post_fork",     [IPC_HOOK_WHEN_READY] = "when_ready",
        [IPC_HOOK_WORKER_EXIT] = "worker_exit", [IPC_HOOK_CHILD_EXIT] = "child_exit",
        [IPC_HOOK_ON_RELOAD] = "on_reload",
    };
    return names[name];
}

int hooks_call(PyObject *hooks, enum ipc_hook_name name, unsigned number, pid_t pid)
{
    if (!hooks || name > IPC_HOOK_ON_RELOAD)
        return 0;
    PyObject *module = pystate_run("_tine_hooks", hooks_py);
    PyObject *r =
        module ? PyObject_CallMethod(module, "call", "OsIi", hooks, hooks_name(name), number, (int)pid) : NULL;
    fork_child_came_back(NULL, false);
    Py_XDECREF(r);
    Py_XDECREF(module);
    return r ? 0 : -1;
}

void hooks_log(enum ipc_hook_name name, int result)
{
    char first[80];
    if (result >= 0)
        return;
    snprintf(first, sizeof first, "The hook %s has failed", hooks_name(name));
    pyerr_log(LOG_LEVEL_ERROR, first);
}
