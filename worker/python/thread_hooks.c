/* SPDX-License-Identifier: BSD-3-Clause */
/* thread_hooks.c: see thread_hooks.h. An application that has not imported threading has no such function. */
#include <Python.h>

#include "worker/python/thread_hooks.h"

/* threading.GET() goes to sys.SET() unless it is None. */
static void follow(PyObject *threading, const char *get, const char *set)
{
    PyObject *function = PyObject_CallMethod(threading, get, NULL);
    PyObject *in_sys = PySys_GetObject(set); /* borrowed */
    PyObject *r = function && function != Py_None && in_sys ? PyObject_CallOneArg(in_sys, function) : NULL;
    Py_XDECREF(r);
    Py_XDECREF(function);
    PyErr_Clear();
}

void thread_follow_hooks(void)
{
    PyObject *threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading"); /* borrowed */
    if (!threading)
        return;
    Py_INCREF(threading);
    follow(threading, "getprofile", "setprofile");
    follow(threading, "gettrace", "settrace");
    Py_DECREF(threading);
}
