/* SPDX-License-Identifier: BSD-3-Clause */
/* pipe.c: asyncio's transports for pipes, which read, and write what the kernel takes at once, in C. The rest waits in
 * asyncio's buffer and is written by asyncio's code.
 *
 * The protocol is a stranger: it can replace itself, close the transport, or end the loop. After a call to it nothing of
 * the transport is touched. */
#include "worker/python/pipe.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "common/likely.h"
#include "worker/python/transport_priv.h"

static const char write_failed[] = "Fatal write error on pipe transport";

/* What instances have after the fields of asyncio's classes. Of the objects any may be NULL. */
struct read_pipe {
    PyObject *protocol; /* _protocol */
    PyObject *fileno; /* _fileno */
};

struct write_pipe {
    PyObject *buffer; /* _buffer: a bytearray */
    PyObject *fileno; /* _fileno */
    long conn_lost; /* _conn_lost */
    char closing; /* _closing */
};

static struct pystate *state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self)); /* there are no subclasses */
}

/* Where what is ours begins. */
static void *fields_of(PyObject *self, const PyObject *base)
{
    return (char *)self + ((const PyTypeObject *)base)->tp_basicsize;
}

/* -1 with an exception set. */
static int fd_of(PyObject *fileno)
{
    if (likely(fileno && PyLong_Check(fileno)))
        return (int)PyLong_AsLong(fileno);
    errno = EBADF;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* --- reading --- */

static int on_data(struct pystate *st, struct read_pipe *p, const char *data, ssize_t n)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data, n);
    PyObject *protocol = Py_NewRef(p->protocol ? p->protocol : Py_None);
    PyObject *r = bytes ? PyObject_CallMethodOneArg(protocol, st->name_data_received, bytes) : NULL;
    Py_DECREF(protocol);
    Py_XDECREF(bytes);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* A second read(2), as asyncio's method would do it, may not find the end again: a terminal tells it once. */
static int on_end(const struct pystate *st, PyObject *self)
{
    PyObject *r = PyObject_CallMethod(st->loop_module, "_pipe_has_ended", "O", self);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static PyObject *pipe_read_ready(PyObject *self, PyObject *unused)
{
    struct pystate *st = state_of(self);
    struct read_pipe *p = fields_of(self, st->read_pipe_base);
    char *scratch = transport_scratch(st);
    int fd = scratch ? fd_of(p->fileno) : -1;
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, scratch, TRANSPORT_READ_MAX);
    if (likely(n > 0))
        return transport_done(on_data(st, p, scratch, n));
    if (n == 0)
        return transport_done(on_end(st, self));
    if (transport_would_block(errno))
        Py_RETURN_NONE;
    return transport_done(transport_fatal_errno(self, "Fatal read error on pipe transport"));
}

/* --- writing --- */

static bool may_write(const struct write_pipe *p, PyObject *data)
{
    return (PyBytes_Check(data) || PyByteArray_Check(data) || PyMemoryView_Check(data)) && !p->conn_lost &&
           !p->closing && p->buffer && PyObject_Size(p->buffer) == 0;
}

/* asyncio's own code does what is left. */
static int write_rest(const struct pystate *st, PyObject *self, PyObject *data)
{
    PyObject *r = data ? PyObject_CallMethodObjArgs(st->write_pipe_base, st->name_write, self, data, NULL) : NULL;
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* It may block: a child process that has the pipe too can have cleared O_NONBLOCK, which is not the descriptor's own. Then
 * a thread of ours may be who reads. */
static ssize_t write_out(int fd, const Py_buffer *view)
{
    ssize_t n;
    Py_BEGIN_ALLOW_THREADS n = write(fd, view->buf, (size_t)view->len);
    Py_END_ALLOW_THREADS return n;
}

static int write_view(const struct pystate *st, PyObject *self, struct write_pipe *p, PyObject *data,
                      const Py_buffer *view)
{
    int fd = fd_of(p->fileno);
    ssize_t n = fd < 0 ? -1 : write_out(fd, view);
    if (likely(n == view->len))
        return 0;
    if (n > 0) {
        PyObject *rest = PyBytes_FromStringAndSize((const char *)view->buf + n, view->len - n);
        int result = write_rest(st, self, rest);
        Py_XDECREF(rest);
        return result;
    }
    if (n == 0 || (fd >= 0 && transport_would_block(errno)))
        return write_rest(st, self, data);
    if (fd >= 0)
        PyErr_SetFromErrno(PyExc_OSError);
    p->conn_lost++;
    return transport_fatal(self, write_failed);
}

static PyObject *pipe_write(PyObject *self, PyObject *data)
{
    struct pystate *st = state_of(self);
    struct write_pipe *p = fields_of(self, st->write_pipe_base);
    Py_buffer view;
    if (!may_write(p, data))
        return transport_done(write_rest(st, self, data));
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)) {
        PyErr_Clear();
        return transport_done(write_rest(st, self, data));
    }
    int result = view.len ? write_view(st, self, p, data, &view) : 0;
    PyBuffer_Release(&view);
    return transport_done(result);
}

/* --- the types --- */

static int check_loop(const struct pystate *st, PyObject *args)
{
    if (PyTuple_GET_SIZE(args) > 0 && PyObject_TypeCheck(PyTuple_GET_ITEM(args, 0), st->base_type))
        return 0;
    PyErr_SetString(PyExc_TypeError, "a loop of Tine's is required");
    return -1;
}

static int read_pipe_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pystate *st = state_of(self);
    return check_loop(st, args) ? -1 : transport_base_init(st->read_pipe_base, self, args, kwargs);
}

static int write_pipe_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pystate *st = state_of(self);
    return check_loop(st, args) ? -1 : transport_base_init(st->write_pipe_base, self, args, kwargs);
}

static const PyMethodDef read_pipe_methods[] = {
    { "_read_ready", pipe_read_ready, METH_NOARGS, NULL },
    { 0 },
};

static const PyMethodDef write_pipe_methods[] = {
    { "write", pipe_write, METH_O, NULL },
    { 0 },
};

static const PyMemberDef read_pipe_members[] = {
    { "_protocol", T_OBJECT_EX, offsetof(struct read_pipe, protocol), 0, NULL },
    { "_fileno", T_OBJECT_EX, offsetof(struct read_pipe, fileno), 0, NULL },
    { 0 },
};

static const PyMemberDef write_pipe_members[] = {
    { "_buffer", T_OBJECT_EX, offsetof(struct write_pipe, buffer), 0, NULL },
    { "_fileno", T_OBJECT_EX, offsetof(struct write_pipe, fileno), 0, NULL },
    { "_conn_lost", T_LONG, offsetof(struct write_pipe, conn_lost), 0, NULL },
    { "_closing", T_BOOL, offsetof(struct write_pipe, closing), 0, NULL },
    { 0 },
};

int pipe_types_init(PyObject *module, struct pystate *st)
{
    if (!(st->read_pipe_base = transport_import("asyncio.unix_events", "_UnixReadPipeTransport")) ||
        !(st->write_pipe_base = transport_import("asyncio.unix_events", "_UnixWritePipeTransport")))
        return -1;
    const struct transport_class reader = {
        "_tine.ReadPipeTransport", st->read_pipe_base, sizeof(struct read_pipe), read_pipe_init,
        read_pipe_methods,         read_pipe_members,
    };
    const struct transport_class writer = {
        "_tine.WritePipeTransport", st->write_pipe_base, sizeof(struct write_pipe), write_pipe_init,
        write_pipe_methods,         write_pipe_members,
    };
    st->read_pipe_type = transport_type(module, &reader);
    st->write_pipe_type = st->read_pipe_type ? transport_type(module, &writer) : NULL;
    return st->write_pipe_type ? 0 : -1;
}
