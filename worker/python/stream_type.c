/* SPDX-License-Identifier: BSD-3-Clause */
/* stream_type.c: makes SocketTransport: asyncio's class with the members of struct stream and the methods of stream_*.c. */
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "worker/python/loop_handle.h"
#include "worker/python/stream_priv.h"

/* From CPython 3.12 on asyncio sets _write_ready in each instance, which makes a cycle of it. */
static int drop_cycle(const struct pystate *st, PyObject *self)
{
    if (!PyObject_SetAttr(self, st->name__write_ready, NULL))
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    return 0;
}

/* asyncio's own, then what it has put there is replaced. */
static int stream_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pystate *st = stream_state(self);
    struct stream *s = stream_of(st, self);
    Py_XSETREF(s->sock, Py_NewRef(Py_None)); /* __del__ asks for it */
    if (PyTuple_GET_SIZE(args) < 2 || !PyObject_TypeCheck(PyTuple_GET_ITEM(args, 0), st->base_type) ||
        !PyObject_TypeCheck(PyTuple_GET_ITEM(args, 1), st->socket_type)) {
        PyErr_SetString(PyExc_TypeError, "a loop of Tine's and a socket are required");
        return -1;
    }
    PyObject *queue = PyObject_CallNoArgs((PyObject *)st->write_queue_type);
    if (!queue || transport_base_init(st->stream_base, self, args, kwargs)) {
        Py_XDECREF(queue);
        return -1;
    }
    Py_XSETREF(s->buffer, queue);
    return drop_cycle(st, self);
}

static PyObject *stream_is_closing(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(stream_of(stream_state(self), self)->closing);
}

static PyObject *stream_get_protocol(PyObject *self, PyObject *unused)
{
    PyObject *protocol = stream_of(stream_state(self), self)->protocol;
    return Py_NewRef(protocol ? protocol : Py_None);
}

static const PyMethodDef stream_methods[] = {
    { "_read_ready", stream_read_ready, METH_NOARGS, NULL },
    { "_write_ready", stream_write_ready, METH_NOARGS, NULL },
    { "_write_queued", stream_write_ready, METH_NOARGS, NULL },
    { "write", stream_write, METH_O, NULL },
    { "writelines", stream_writelines, METH_O, NULL },
    { "get_write_buffer_size", stream_get_write_buffer_size, METH_NOARGS, NULL },
    { "set_protocol", stream_set_protocol, METH_O, NULL },
    { "get_protocol", stream_get_protocol, METH_NOARGS, NULL },
    { "is_closing", stream_is_closing, METH_NOARGS, NULL },
    { 0 },
};

#define FIELD(name, type, field) { name, type, offsetof(struct stream, field), 0, NULL }
static const PyMemberDef stream_members[] = {
    FIELD("_buffer", T_OBJECT_EX, buffer),
    FIELD("_protocol", T_OBJECT_EX, protocol),
    FIELD("_sock", T_OBJECT_EX, sock),
    FIELD("_empty_waiter", T_OBJECT_EX, empty_waiter),
    FIELD("_conn_lost", T_LONG, conn_lost),
    FIELD("_closing", T_BOOL, closing),
    FIELD("_eof", T_BOOL, eof),
    FIELD("_paused", T_BOOL, paused),
    { 0 },
};

static int find_layout(struct pystate *st)
{
    struct stream_layout *at = &st->stream_layout;
    at->loop = loop_slot_offset(st->stream_base, "_loop");
    at->protocol_paused = at->loop < 0 ? -1 : loop_slot_offset(st->stream_base, "_protocol_paused");
    at->high_water = at->protocol_paused < 0 ? -1 : loop_slot_offset(st->stream_base, "_high_water");
    at->fields = ((PyTypeObject *)st->stream_base)->tp_basicsize;
    return at->high_water < 0 ? -1 : 0;
}

int stream_type_init(PyObject *module, struct pystate *st)
{
    if (!(st->stream_base = transport_import("asyncio.selector_events", "_SelectorSocketTransport")) ||
        !(st->buffered_protocol = transport_import("asyncio.protocols", "BufferedProtocol")) || find_layout(st) ||
        !(st->write_queue_type = write_queue_type(module)))
        return -1;
    const struct transport_class class = {
        "_tine.SocketTransport", st->stream_base, sizeof(struct stream), stream_init, stream_methods, stream_members,
    };
    st->stream_type = transport_type(module, &class);
    return st->stream_type ? 0 : -1;
}
