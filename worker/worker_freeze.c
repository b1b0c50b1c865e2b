/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_freeze.c: takes what an application consists of out of the garbage collector's sight, once it has started. A full
 * collection otherwise looks at all of it, tens of thousands of objects of FastAPI or Django, to find the few that
 * requests have left: 10 to 20 % of the CPU of requests that make tasks. */
#include <Python.h>

#include "worker/python/pyerr.h"
#include "worker/worker.h"

void worker_freeze(void)
{
    if (!PyGC_IsEnabled()) /* the application's own choice: nothing would be looked at */
        return;
    PyGC_Collect(); /* what is garbage already would stay */
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *frozen = gc ? PyObject_CallMethod(gc, "freeze", NULL) : NULL;
    if (!frozen)
        pyerr_log(LOG_LEVEL_WARNING, "Cannot freeze the application's objects");
    Py_XDECREF(frozen);
    Py_XDECREF(gc);
}
