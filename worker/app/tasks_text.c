/* SPDX-License-Identifier: BSD-3-Clause */
/* tasks_text.c: see tasks_text.h. */
#include "worker/app/tasks_text.h"

#include <unistd.h>

#include "worker/app/tasks_text_py.h"
#include "worker/python/pystate.h"

int tasks_text_write(int fd, PyObject *loop, PyObject *described, PyObject *host)
{
    PyObject *module = pystate_run("_tine_tasks", tasks_text_py);
    PyObject *text = module ? PyObject_CallMethod(module, "text", "OOO", loop, described, host ? host : Py_None) : NULL;
    Py_ssize_t n = 0;
    char *p = NULL;
    int r = text ? PyBytes_AsStringAndSize(text, &p, &n) : -1;
    if (r == 0 && write(fd, p, (size_t)n) < 0)
        PyErr_Clear(); /* nobody reads: nobody asks any more */
    Py_XDECREF(text);
    Py_XDECREF(module);
    return r;
}
