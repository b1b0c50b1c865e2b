/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_ops.c: the table of event loops, and how a host is made. */
#include "worker/python/loops/loop_ops.h"

#include <stddef.h>

#include "worker/python/coro.h"
#include "worker/python/loops/host_asyncio_py.h"
#include "worker/python/loops/host_curio_py.h"
#include "worker/python/loops/host_trio_py.h"
#include "worker/python/pyerr.h"
#include "worker/python/pystate.h"

static const struct loop_ops table[] = {
    { .conf = CONF_LOOP_TINE, .style = LOOP_ASYNCIO },
    { .conf = CONF_LOOP_ASYNCIO, .style = LOOP_ASYNCIO, .source = host_asyncio_py },
    { .conf = CONF_LOOP_UVLOOP,
      .style = LOOP_ASYNCIO,
      .source = host_asyncio_py,
      .package = "uvloop",
      .versions = ">=0.17,<0.24" },
    { .conf = CONF_LOOP_TRIO,
      .style = LOOP_TASKS,
      .source = host_trio_py,
      .package = "trio",
      .versions = ">=0.22,<0.36" },
    { .conf = CONF_LOOP_CURIO, .style = LOOP_TASKS, .source = host_curio_py, .package = "curio", .versions = "==1.6" },
};

const struct loop_ops *loop_ops_of(enum conf_loop conf)
{
    for (size_t i = 1; i < sizeof table / sizeof table[0]; i++)
        if (table[i].conf == conf)
            return &table[i];
    return &table[0];
}

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

PyObject *loop_ops_host(const struct loop_ops *ops, const char *factory)
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
