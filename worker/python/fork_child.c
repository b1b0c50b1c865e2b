/* SPDX-License-Identifier: BSD-3-Clause */
/* fork_child.c: see fork_child.h. The work is Python's (fork_child.py), which can run here: the thread that forked has
 * the GIL, and CPython has mended its own locks. */
#include "worker/python/fork_child.h"

#include <unistd.h>

#include "common/log.h"
#include "worker/python/pyerr.h"

/* For the Python half: a thread of an executor has forked, and its work is done. */
static PyObject *end_process(PyObject *unused, PyObject *exception)
{
    if (exception != Py_None)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    fork_child_end(NULL, false);
}

static PyMethodDef end_process_def = { "end_process", end_process, METH_O, NULL };

/* Of os.register_at_fork(): also called where a mold has forked a worker. */
static PyObject *on_child(PyObject *module, PyObject *unused)
{
    if (!forked_is_child())
        Py_RETURN_NONE;
    PyObject *end = PyCFunction_New(&end_process_def, NULL);
    PyObject *r = end ? PyObject_CallMethod(module, "in_child", "O", end) : NULL;
    Py_XDECREF(end);
    return r;
}

static PyMethodDef on_child_def = { "on_child", on_child, METH_NOARGS, NULL };

int fork_child_prepare(PyObject *module)
{
    PyObject *function = PyCFunction_New(&on_child_def, module);
    PyObject *r = function ? PyObject_CallMethod(module, "prepare", "O", function) : NULL;
    Py_XDECREF(r);
    Py_XDECREF(function);
    return r ? 0 : -1;
}

int fork_child_raise(const char *what)
{
    PyErr_Format(PyExc_RuntimeError, "this process was forked by the application, and %s its parent's", what);
    return -1;
}

static void report(PyObject *exception)
{
    pyerr_log_exception(LOG_LEVEL_ERROR, "Exception in a process that the application forked", exception);
}

/* The exit status, -1: it waits for what never comes. */
static int end(PyObject *exception, PyObject *callback, bool waits)
{
    int status = 1;
    PyObject *failed, *module = PyImport_ImportModule(FORK_CHILD_MODULE);
    PyObject *r = module ? PyObject_CallMethod(module, "end", "OOO", exception ? exception : Py_None,
                                               callback ? callback : Py_None, waits ? Py_True : Py_False)
                         : NULL;
    if (!r || !PyArg_ParseTuple(r, "iO", &status, &failed)) {
        if (exception)
            report(exception);
        pyerr_log(LOG_LEVEL_ERROR, "The end of a process that the application forked failed");
        return 1;
    }
    if (failed != Py_None)
        report(failed);
    return status;
}

/* Its own threads may still be at work, and output may be waiting. */
static void finish(void)
{
    PyObject *module = PyImport_ImportModule(FORK_CHILD_MODULE);
    if (!module || !PyObject_CallMethod(module, "finish", NULL))
        PyErr_Clear();
}

void fork_child_end(PyObject *callback, bool waits)
{
    PyObject *exception = PyErr_Occurred() ? pyerr_take() : NULL;
    int status = end(exception, callback, waits);
    if (status < 0)
        log_error("a process that the application forked waits for the event loop, which is its parent's: it ends");
    finish();
    _exit(status < 0 ? 1 : status);
}
