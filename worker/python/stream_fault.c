/* SPDX-License-Identifier: BSD-3-Clause */
/* stream_fault.c: what goes wrong on a transport's socket, and where asyncio wants to hear of it. */
#include <errno.h>

#include "common/likely.h"
#include "worker/python/pyerr.h"
#include "worker/python/stream_priv.h"

/* Without a lookup: it is what each operation begins with. */
int stream_fd(const struct pystate *st, const struct stream *s)
{
    PyObject *sock = s->sock;
    bool plain = sock && PyObject_TypeCheck(sock, st->socket_type);
    PyObject *number = plain ? st->socket_fileno(sock, NULL) : NULL;
    long fd = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (unlikely(fd < 0) && !PyErr_Occurred()) {
        errno = EBADF;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return (int)fd;
}

bool stream_would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int stream_fatal(PyObject *self, const char *where)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        return -1;
    PyObject *exception = pyerr_take();
    PyObject *before = PyErr_GetHandledException();
    PyErr_SetHandledException(exception); /* asyncio's code is that of an except clause */
    PyObject *r = PyObject_CallMethod(self, "_fatal_error", "Os", exception, where);
    PyErr_SetHandledException(before);
    Py_XDECREF(before);
    Py_DECREF(exception);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

int stream_fatal_errno(PyObject *self, const char *where)
{
    PyErr_SetFromErrno(PyExc_OSError);
    return stream_fatal(self, where);
}
