/* SPDX-License-Identifier: BSD-3-Clause */
/* stream_write.c: write() tries at once, what the kernel does not take waits in the queue, and goes out in its order
 * when the socket is writable: several pieces with one sendmsg(2). */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/likely.h"
#include "worker/python/stream_priv.h"

enum { PIECES = 64 };

static const char write_failed[] = "Fatal write error on socket transport";

/* NULL: RuntimeError set; the transport has no loop any more. */
static struct pyloop *loop_of(const struct pystate *st, PyObject *self)
{
    PyObject *loop = transport_slot(self, st->stream_layout.loop);
    if (loop && PyObject_TypeCheck(loop, st->base_type))
        return (struct pyloop *)loop;
    PyErr_SetString(PyExc_RuntimeError, "the transport is closed");
    return NULL;
}

/* What callbacks of the transport run in: since Python 3.15 it keeps it, before that it is the caller's. New reference, or
 * NULL; no exception is set. */
static PyObject *context_of(const struct pystate *st, PyObject *self)
{
    PyObject *context = PY_VERSION_HEX >= 0x030f0000 ? PyObject_GetAttr(self, st->name__context) : NULL;
    PyErr_Clear();
    return context;
}

/* Has stream_write_ready() called when the socket is writable. */
static int watch_writable(struct pystate *st, PyObject *self, int fd)
{
    struct pyloop *loop = loop_of(st, self);
    PyObject *args[] = { PyLong_FromLong(fd), PyObject_GetAttr(self, st->name__write_queued) };
    PyObject *handle = NULL;
    if (loop && args[0] && args[1]) {
        PyObject *context = context_of(st, self);
        handle = loop_add_watch(loop, WATCH_WRITE, args, 2, context);
        Py_XDECREF(context);
    }
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    Py_XDECREF(handle);
    return handle ? 0 : -1;
}

static int unwatch_writable(struct pystate *st, PyObject *self)
{
    struct pyloop *loop = loop_of(st, self);
    PyObject *fd = loop ? PyObject_GetAttr(self, st->name__sock_fd) : NULL;
    PyObject *r = fd ? loop_remove_watch(loop, WATCH_WRITE, fd) : NULL;
    Py_XDECREF(fd);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static int call(PyObject *object, PyObject *method)
{
    PyObject *r = PyObject_CallMethodNoArgs(object, method);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* Whether pause_writing() is due is asyncio's decision; it is asked only if it can be. */
static int queued(struct pystate *st, PyObject *self, const struct write_queue *q)
{
    PyObject *high = transport_slot(self, st->stream_layout.high_water);
    if (high && PyLong_CheckExact(high)) {
        long long limit = PyLong_AsLongLong(high);
        if (limit == -1 && PyErr_Occurred())
            PyErr_Clear();
        else if ((long long)q->size <= limit)
            return 0;
    }
    return call(self, st->name__maybe_pause_protocol);
}

static int enqueue(struct pystate *st, PyObject *self, struct write_queue *q, PyObject *data, size_t sent)
{
    return write_queue_push(q, data, sent) ? -1 : queued(st, self, q);
}

/* send(2): 0 with *ret_sent, or -1: errno, unless an exception is set. */
static int send_now(int fd, const void *data, size_t size, size_t *ret_sent)
{
    ssize_t n = fd < 0 ? -1 : send(fd, data, size, TRANSPORT_SEND_FLAGS);
    if (unlikely(n < 0) && (fd < 0 || !transport_would_block(errno)))
        return -1;
    *ret_sent = n > 0 ? (size_t)n : 0;
    return 0;
}

/* `data` is what `view` shows, which is not empty. */
static int write_view(struct pystate *st, PyObject *self, struct stream *s, PyObject *data, const Py_buffer *view)
{
    struct write_queue *q = stream_queue(st, s);
    size_t sent = 0;
    if (!q)
        return -1;
    if (q->n)
        return enqueue(st, self, q, data, 0);
    int fd = transport_fd(st, s->sock);
    if (unlikely(send_now(fd, view->buf, (size_t)view->len, &sent)))
        return fd < 0 ? transport_fatal(self, write_failed) : transport_fatal_errno(self, write_failed);
    if (likely(sent == (size_t)view->len))
        return 0;
    return watch_writable(st, self, fd) || enqueue(st, self, q, data, sent) ? -1 : 0;
}

/* Nothing is to be sent: asyncio's own method says why, or counts and warns. */
static PyObject *call_base(const struct pystate *st, PyObject *method, PyObject *self, PyObject *data)
{
    return PyObject_CallMethodObjArgs(st->stream_base, method, self, data, NULL);
}

/* Neither write_eof() was called, nor sendfile() runs. */
static bool takes_data(const struct stream *s)
{
    return likely(!s->eof && (!s->empty_waiter || s->empty_waiter == Py_None));
}

/* write() and writelines() once it is clear that `data` is bytes-like and may be sent. */
static PyObject *write_data(struct pystate *st, PyObject *self, PyObject *data)
{
    struct stream *s = stream_of(st, self);
    Py_buffer view;
    if (unlikely(s->conn_lost))
        return call_base(st, st->name_write, self, data);
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
        return NULL;
    int result = view.len ? write_view(st, self, s, data, &view) : 0;
    PyBuffer_Release(&view);
    return transport_done(result);
}

PyObject *stream_write(PyObject *self, PyObject *data)
{
    struct pystate *st = stream_state(self);
    bool fits = PyBytes_Check(data) || PyByteArray_Check(data) || PyMemoryView_Check(data);
    if (!fits || !takes_data(stream_of(st, self)))
        return call_base(st, st->name_write, self, data);
    return write_data(st, self, data);
}

/* In one piece: one system call, and joining small pieces costs less than describing them. */
PyObject *stream_writelines(PyObject *self, PyObject *pieces)
{
    struct pystate *st = stream_state(self);
    if (!takes_data(stream_of(st, self)))
        return call_base(st, st->name_writelines, self, pieces);
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *data = empty ? PyObject_CallMethod(empty, "join", "O", pieces) : NULL;
    PyObject *r = data ? write_data(st, self, data) : NULL;
    Py_XDECREF(empty);
    Py_XDECREF(data);
    return r;
}

PyObject *stream_get_write_buffer_size(PyObject *self, PyObject *unused)
{
    struct pystate *st = stream_state(self);
    struct write_queue *q = stream_queue(st, stream_of(st, self));
    return q ? PyLong_FromSize_t(q->size) : NULL;
}

/* --- when the socket is writable --- */

/* The future is not the protocol's: it tells sendfile(). `exception` NULL: success. */
static int tell_waiter(const struct stream *s, PyObject *exception)
{
    PyObject *waiter = s->empty_waiter;
    if (!waiter || waiter == Py_None)
        return 0;
    Py_INCREF(waiter);
    PyObject *r =
        PyObject_CallMethod(waiter, exception ? "set_exception" : "set_result", "O", exception ? exception : Py_None);
    Py_DECREF(waiter);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* With the exception set that send gave. */
static int write_broke(struct pystate *st, PyObject *self, struct stream *s, struct write_queue *q)
{
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    write_queue_clear(q);
    int result = unwatch_writable(st, self);
    if (result) {
        Py_XDECREF(type);
        Py_XDECREF(exception);
        Py_XDECREF(traceback);
        return result;
    }
    PyObject *kept = Py_NewRef(exception);
    PyErr_Restore(type, exception, traceback);
    result = transport_fatal(self, write_failed);
    if (!result)
        result = tell_waiter(s, kept);
    Py_DECREF(kept);
    return result;
}

static int call_lost(PyObject *self)
{
    PyObject *r = PyObject_CallMethod(self, "_call_connection_lost", "O", Py_None);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static int all_written(struct pystate *st, PyObject *self, struct stream *s)
{
    if (unwatch_writable(st, self) || tell_waiter(s, NULL))
        return -1;
    if (s->closing) {
        s->conn_lost++;
        return call_lost(self);
    }
    if (!s->eof || !s->sock)
        return 0;
    PyObject *r = PyObject_CallMethod(s->sock, "shutdown", "i", SHUT_WR);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* Bytes, or -1: errno, unless an exception is set. */
static ssize_t send_queue(const struct write_queue *q, int fd)
{
    struct iovec iov[PIECES];
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)write_queue_peek(q, iov, PIECES) };
    return sendmsg(fd, &msg, TRANSPORT_SEND_FLAGS);
}

static int write_queued(struct pystate *st, PyObject *self, struct stream *s, struct write_queue *q)
{
    int fd = transport_fd(st, s->sock);
    ssize_t n = fd < 0 ? -1 : send_queue(q, fd);
    if (n < 0 && fd >= 0 && transport_would_block(errno))
        return 0;
    if (n < 0) {
        if (fd >= 0)
            PyErr_SetFromErrno(PyExc_OSError);
        return write_broke(st, self, s, q);
    }
    write_queue_consume(q, (size_t)n);
    if (transport_slot(self, st->stream_layout.protocol_paused) == Py_True &&
        call(self, st->name__maybe_resume_protocol))
        return -1;
    /* resume_writing() may have queued more, or have aborted. */
    return q->n || s->conn_lost ? 0 : all_written(st, self, s);
}

PyObject *stream_write_ready(PyObject *self, PyObject *unused)
{
    struct pystate *st = stream_state(self);
    struct stream *s = stream_of(st, self);
    struct write_queue *q = stream_queue(st, s);
    if (!q)
        return NULL;
    if (s->conn_lost || !q->n)
        Py_RETURN_NONE;
    Py_INCREF(q);
    int result = write_queued(st, self, s, q);
    Py_DECREF(q);
    return transport_done(result);
}
