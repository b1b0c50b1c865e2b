/* SPDX-License-Identifier: BSD-3-Clause */
/* stacks.c: asks faulthandler to write stacks; its handler needs no GIL and allocates nothing. But it leaves another errno
 * than it found, and what it interrupts may take that for the error of the call it made: so it is wrapped. */
#include "worker/python/stacks.h"

#include <Python.h>
#include <errno.h>
#include <signal.h>

#include "common/forked.h"

/* Set once, before the signal can come. A handler of a signal that another process sends is handed nothing. */
static void (*faulthandler_dump)(int signo);

static void on_stacks_signal(int signo)
{
    int saved = errno;
    faulthandler_dump(signo);
    errno = saved;
}

static int wrap(void)
{
    struct sigaction action;
    if (sigaction(SIGUSR2, NULL, &action) < 0)
        return -1;
    if (action.sa_handler == on_stacks_signal)
        return 0;
    faulthandler_dump = action.sa_handler;
    action.sa_handler = on_stacks_signal;
    return sigaction(SIGUSR2, &action, NULL);
}

int stacks_enable(int fd)
{
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *function = module ? PyObject_GetAttrString(module, "register") : NULL;
    PyObject *args = function ? Py_BuildValue("(i)", SIGUSR2) : NULL;
    PyObject *kwargs =
        args ? Py_BuildValue("{s:i,s:O,s:O}", "file", fd, "all_threads", Py_True, "chain", Py_False) : NULL;
    PyObject *r = kwargs ? PyObject_Call(function, args, kwargs) : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(function);
    Py_XDECREF(module);
    Py_XDECREF(r);
    if (!r)
        return -1;
    if (wrap() < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    forked_own_signal(SIGUSR2);
    return 0;
}
