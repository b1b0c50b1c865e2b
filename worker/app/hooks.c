/* SPDX-License-Identifier: BSD-3-Clause */
/* hooks.c: see hooks.h. */
#include "worker/app/hooks.h"

#include "worker/app/app_load.h"
#include "worker/app/hooks_py.h"
#include "worker/python/fork_child.h"
#include "worker/python/pystate.h"

PyObject *hooks_load(const char *module)
{
    return app_import(module);
}

const char *hooks_name(enum ipc_hook_name name)
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
    if (!hooks)
        return 0;
    PyObject *module = pystate_run("_tine_hooks", hooks_py);
    PyObject *r =
        module ? PyObject_CallMethod(module, "call", "OsIi", hooks, hooks_name(name), number, (int)pid) : NULL;
    fork_child_came_back(NULL, false);
    Py_XDECREF(r);
    Py_XDECREF(module);
    return r ? 0 : -1;
}
