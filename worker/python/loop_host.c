/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_host.c: makes the host of a loop that is not ours (loops/loop_ops.h). Runs nothing on it. */
#include "worker/python/loop_host.h"

#include <stdio.h>

#include "worker/python/coro.h"
#include "worker/python/loops/loop_ops.h"
#include "worker/python/pyerr.h"
#include "worker/python/pystate.h"

/* What is set becomes the cause of an ImportError that says what to do. */
static void explain(const struct loop_ops *ops)
{
    if (!ops->package || !PyErr_ExceptionMatches(PyExc_Exception))
        return;
    PyObject *cause = pyerr_take();
    PyErr_Format(
        PyExc_ImportError,
        "app.loop = %s needs the package %s (%s were tried) in the application's environment, and importing it "
        "failed: %S",
        conf_loop_name(ops->conf), ops->package, ops->versions, cause);
    PyObject *exception = pyerr_take();
    PyException_SetCause(exception, cause);
    coro_restore(exception);
}

PyObject *loop_host_new(const struct loop_ops *ops, const char *factory)
{
    char module_name[40];
    snprintf(module_name, sizeof module_name, "_tine_host_%s", conf_loop_name(ops->conf));
    PyObject *module = pystate_run(module_name, ops->source);
    PyObject *host = module ? PyObject_CallMethod(module, "Host", "zz", ops->package, factory) : NULL;
    Py_XDECREF(module);
    if (!host)
        explain(ops);
    return host;
}
