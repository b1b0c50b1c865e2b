/* SPDX-License-Identifier: BSD-3-Clause */
/* stream_read.c: what a socket has received, to the protocol. One recv(2) each time the socket is readable, as asyncio
 * does it: another connection's turn comes before more of this one's.
 *
 * The protocol is a stranger: it can replace itself, close the transport, or end the loop. After a call to it nothing of
 * the transport is touched. */
#include <errno.h>
#include <sys/socket.h>

#include "common/likely.h"
#include "worker/python/stream_priv.h"

static const char read_failed[] = "Fatal read error on socket transport";

/* Calls protocol.method(argument), argument stolen, NULL: an exception is set. */
static int tell(PyObject *self, PyObject *protocol, PyObject *method, PyObject *argument, const char *failed)
{
    PyObject *args[] = { protocol, argument };
    PyObject *r = argument ? PyObject_VectorcallMethod(method, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL) : NULL;
    Py_XDECREF(argument);
    if (unlikely(!r))
        return transport_fatal(self, failed);
    Py_DECREF(r);
    return 0;
}

static int on_eof(PyObject *self)
{
    PyObject *r = PyObject_CallMethod(self, "_read_ready__on_eof", NULL);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* recv(2). Bytes; 0 at the end of the stream; -1: nothing to tell the protocol, *result says whether an exception is
 * set. */
static ssize_t receive(PyObject *self, int fd, void *buffer, size_t size, int *result)
{
    *result = 0;
    ssize_t n = fd < 0 ? -1 : recv(fd, buffer, size, MSG_DONTWAIT);
    if (likely(n > 0))
        return n;
    if (n == 0)
        *result = on_eof(self);
    else if (fd < 0)
        *result = transport_fatal(self, read_failed);
    else if (!transport_would_block(errno))
        *result = transport_fatal_errno(self, read_failed);
    return n;
}

static int read_data(struct pystate *st, PyObject *self, struct stream *s, PyObject *protocol)
{
    int result;
    char *scratch = transport_scratch(st);
    if (!scratch)
        return transport_fatal(self, read_failed);
    int fd = transport_fd(st, s->sock);
    ssize_t n = receive(self, fd, scratch, TRANSPORT_READ_MAX, &result);
    if (n <= 0)
        return result;
    return tell(self, protocol, st->name_data_received, PyBytes_FromStringAndSize(scratch, n),
                "Fatal error: protocol.data_received() call failed.");
}

/* protocol.get_buffer(-1), or NULL with an exception set. */
static PyObject *get_buffer(struct pystate *st, PyObject *protocol)
{
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *buffer = hint ? PyObject_CallMethodOneArg(protocol, st->name_get_buffer, hint) : NULL;
    Py_XDECREF(hint);
    Py_ssize_t n = buffer ? PyObject_Size(buffer) : -1;
    if (n == 0)
        PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
    if (n <= 0)
        Py_CLEAR(buffer);
    return buffer;
}

/* Nothing can be written into the buffer: the socket's own method says so in the words of this version. */
static int refuse_buffer(PyObject *self, const struct stream *s, PyObject *buffer)
{
    PyErr_Clear();
    PyObject *r = s->sock ? PyObject_CallMethod(s->sock, "recv_into", "O", buffer) : NULL;
    if (r || !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "the buffer of the protocol is not writable");
    Py_XDECREF(r);
    return transport_fatal(self, read_failed);
}

static int read_into(struct pystate *st, PyObject *self, struct stream *s, PyObject *protocol)
{
    PyObject *buffer = get_buffer(st, protocol);
    if (!buffer)
        return transport_fatal(self, "Fatal error: protocol.get_buffer() call failed.");
    Py_buffer view;
    int result;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)) {
        result = refuse_buffer(self, s, buffer);
    } else {
        int fd = transport_fd(st, s->sock);
        ssize_t n = receive(self, fd, view.buf, (size_t)view.len, &result);
        PyBuffer_Release(&view);
        if (n > 0)
            result = tell(self, protocol, st->name_buffer_updated, PyLong_FromSsize_t(n),
                          "Fatal error: protocol.buffer_updated() call failed.");
    }
    Py_DECREF(buffer);
    return result;
}

PyObject *stream_read_ready(PyObject *self, PyObject *unused)
{
    struct pystate *st = stream_state(self);
    struct stream *s = stream_of(st, self);
    PyObject *protocol = s->protocol;
    if (s->conn_lost || !protocol)
        Py_RETURN_NONE;
    Py_INCREF(protocol);
    int result = s->buffered ? read_into(st, self, s, protocol) : read_data(st, self, s, protocol);
    Py_DECREF(protocol);
    return result ? NULL : Py_NewRef(Py_None);
}

PyObject *stream_set_protocol(PyObject *self, PyObject *protocol)
{
    struct pystate *st = stream_state(self);
    int buffered = PyObject_IsInstance(protocol, st->buffered_protocol);
    if (buffered < 0 || PyObject_SetAttr(self, st->name__protocol_connected, Py_True))
        return NULL;
    struct stream *s = stream_of(st, self);
    s->buffered = (char)buffered;
    Py_XSETREF(s->protocol, Py_NewRef(protocol));
    Py_RETURN_NONE;
}
