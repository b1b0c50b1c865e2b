/* stacks.c: asks faulthandler to write stacks; its handler needs no GIL and allocates nothing. */
#include "worker/python/stacks.h"

#include <Python.h>
#include <signal.h>

int stacks_enable(int fd)
{
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *function = module ? PyObject_GetAttrString(module, "register") : NULL;
    PyObject *args = function ? Py_BuildValue("(i)", SIGUSR2) : NULL;
    PyObject *kwargs =
        args ? Py_BuildValue("{s:i,s:O,s:O}", "file", fd, "all_threads", Py_True, "chain", Py_False)
             : NULL;
    PyObject *r = kwargs ? PyObject_Call(function, args, kwargs) : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(function);
    Py_XDECREF(module);
    Py_XDECREF(r);
    return r ? 0 : -1;
}
