/* SPDX-License-Identifier: BSD-3-Clause */
/* draining.c: see draining.h. */
#include "worker/app/draining.h"

#include "common/log.h"
#include "worker/app/draining_py.h"
#include "worker/python/pyerr.h"
#include "worker/python/pystate.h"

PyObject *draining_new(enum draining_kind kind)
{
    static const char *const names[] = {
        [DRAINING_TASKS] = "tasks", [DRAINING_THREADS] = "threads", [DRAINING_GREENLETS] = "greenlets"
    };
    PyObject *module = pystate_run("_tine_draining", draining_py);
    PyObject *event = module ? PyObject_CallMethod(module, "make", "s", names[kind]) : NULL;
    Py_XDECREF(module);
    return event;
}

void draining_tell(PyObject *event)
{
    PyObject *r = PyObject_CallMethod(event, "set", NULL);
    if (!r)
        pyerr_log(LOG_LEVEL_ERROR, "The application cannot be told that the worker stops");
    Py_XDECREF(r);
}
