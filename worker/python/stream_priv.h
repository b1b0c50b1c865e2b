/* SPDX-License-Identifier: BSD-3-Clause */
/* stream_priv.h: SocketTransport, the loop's transport for connected stream sockets.
 *
 * It is a subclass of asyncio's own selector transport: everything about it that is not hot (closing, errors, repr, extra
 * information, flow control) is asyncio's code of the running version. That code finds the attributes that it sets and asks
 * (`_closing`, `_conn_lost`, `_buffer`, ...) as members of this struct; reading, writing and what is asked for at each
 * operation is done here in C.
 */
#ifndef TINE_PYTHON_STREAM_PRIV_H
#define TINE_PYTHON_STREAM_PRIV_H

#include <Python.h>
#include <stdbool.h>

#include "common/likely.h"
#include "worker/python/loop_priv.h"
#include "worker/python/transport_priv.h"
#include "worker/python/write_queue.h"

/* What an instance has after the fields of asyncio's class. Of the objects any may be NULL: deleted, or never set. */
struct stream {
    PyObject *buffer;       /* _buffer; a struct write_queue */
    PyObject *protocol;     /* _protocol */
    PyObject *sock;         /* _sock */
    PyObject *empty_waiter; /* _empty_waiter: a Future while sendfile() runs, else None */
    long conn_lost;         /* _conn_lost: not 0: connection_lost() is on its way, or was called */
    char closing;           /* _closing */
    char eof;               /* _eof: write_eof() was called */
    char paused;            /* _paused */
    char buffered;          /* the protocol is a BufferedProtocol */
};

static inline struct pystate *stream_state(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self)); /* there are no subclasses */
}

static inline struct stream *stream_of(const struct pystate *st, PyObject *self)
{
    return (struct stream *)((char *)self + st->stream_layout.fields);
}

/* NULL: not initialised; RuntimeError set. */
static inline struct write_queue *stream_queue(const struct pystate *st, const struct stream *s)
{
    if (likely(s->buffer && Py_IS_TYPE(s->buffer, st->write_queue_type)))
        return (struct write_queue *)s->buffer;
    PyErr_SetString(PyExc_RuntimeError, "the transport was not initialised");
    return NULL;
}

/* stream_read.c, stream_write.c: methods. */
PyObject *stream_read_ready(PyObject *self, PyObject *unused);
PyObject *stream_set_protocol(PyObject *self, PyObject *protocol);
PyObject *stream_write(PyObject *self, PyObject *data);
PyObject *stream_writelines(PyObject *self, PyObject *pieces);
PyObject *stream_write_ready(PyObject *self, PyObject *unused);
PyObject *stream_get_write_buffer_size(PyObject *self, PyObject *unused);

/* stream_type.c: makes the type. 0, or -1 with an exception set. */
int stream_type_init(PyObject *module, struct pystate *st);

#endif
