/* SPDX-License-Identifier: BSD-3-Clause */
/* datagram.c: DatagramTransport, the loop's transport for UDP: asyncio's class, which receives, and sends what the kernel
 * takes at once, in C. What has to wait waits in asyncio's queue and is sent by asyncio's code.
 *
 * The protocol is a stranger: it can replace itself, close the transport, or end the loop. After a call to it nothing of
 * the transport is touched. */
#include "worker/python/datagram.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/likely.h"
#include "worker/python/loop_handle.h"
#include "worker/python/sockaddr.h"
#include "worker/python/transport_priv.h"

static const char read_failed[] = "Fatal read error on datagram transport";
static const char write_failed[] = "Fatal write error on datagram transport";

/* What an instance has after the fields of asyncio's class. Of the objects any may be NULL. */
struct datagram {
    PyObject *buffer; /* _buffer: a deque */
    PyObject *protocol; /* _protocol */
    PyObject *sock; /* _sock */
    PyObject *address; /* _address: what create_datagram_endpoint() was given as remote_addr, or None */
    PyObject *sender; /* of the latest datagram, as the protocol was given it */
    long conn_lost; /* _conn_lost */
    int family;
    union sockaddr_any sender_raw;
    socklen_t sender_size; /* 0: sender is NULL */
};

static struct pystate *state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self)); /* there are no subclasses */
}

static struct datagram *datagram_of(const struct pystate *st, PyObject *self)
{
    return (struct datagram *)((char *)self + st->datagram_layout.fields);
}

/* --- receiving --- */

/* Most datagrams come from where the one before came from. */
static PyObject *sender_of(struct datagram *d, const union sockaddr_any *from, socklen_t size)
{
    if (likely(d->sender && size == d->sender_size && !memcmp(from, &d->sender_raw, size)))
        return Py_NewRef(d->sender);
    PyObject *sender = sockaddr_tuple(from);
    if (!sender)
        return NULL;
    d->sender_raw = *from;
    d->sender_size = size;
    Py_XSETREF(d->sender, Py_NewRef(sender));
    return sender;
}

static int tell(struct pystate *st, PyObject *self, PyObject *protocol, PyObject *data, PyObject *sender)
{
    if (!data || !sender) {
        Py_XDECREF(data);
        Py_XDECREF(sender);
        return transport_fatal(self, read_failed);
    }
    PyObject *args[] = { protocol, data, sender };
    PyObject *r = PyObject_VectorcallMethod(st->name_datagram_received, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(data);
    Py_DECREF(sender);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static int receive(struct pystate *st, PyObject *self, struct datagram *d, PyObject *protocol)
{
    union sockaddr_any from;
    socklen_t size = sizeof from;
    char *scratch = transport_scratch(st);
    if (!scratch)
        return transport_fatal(self, read_failed);
    int fd = transport_fd(st, d->sock);
    ssize_t n = fd < 0 ? -1 : recvfrom(fd, scratch, TRANSPORT_READ_MAX, MSG_DONTWAIT, &from.any, &size);
    if (unlikely(n < 0)) {
        if (fd >= 0 && transport_would_block(errno))
            return 0;
        if (fd >= 0)
            PyErr_SetFromErrno(PyExc_OSError);
        return transport_except(protocol, "error_received", NULL);
    }
    PyObject *data = PyBytes_FromStringAndSize(scratch, n);
    return tell(st, self, protocol, data, data ? sender_of(d, &from, size) : NULL);
}

static PyObject *datagram_read_ready(PyObject *self, PyObject *unused)
{
    struct pystate *st = state_of(self);
    struct datagram *d = datagram_of(st, self);
    PyObject *protocol = d->protocol;
    if (d->conn_lost || !protocol)
        Py_RETURN_NONE;
    Py_INCREF(protocol);
    int result = receive(st, self, d, protocol);
    Py_DECREF(protocol);
    return transport_done(result);
}

/* --- sending --- */

/* An address that was received is most likely answered. */
static bool parse(struct datagram *d, PyObject *address, union sockaddr_any *to, socklen_t *ret_size)
{
    if (likely(address == d->sender)) {
        *to = d->sender_raw;
        *ret_size = d->sender_size;
        return true;
    }
    return sockaddr_parse(d->family, address, to, ret_size);
}

/* True, and whether the socket is connected to where its datagrams go. False: it cannot be known. */
static bool knows_peer(const struct pystate *st, PyObject *self, bool *ret_connected)
{
    PyObject *extra = transport_slot(self, st->datagram_layout.extra);
    PyObject *peer = extra && PyDict_Check(extra) ? PyDict_GetItemWithError(extra, st->name_peername) : NULL;
    int connected = peer ? PyObject_IsTrue(peer) : -1;
    if (connected < 0)
        PyErr_Clear();
    *ret_connected = connected > 0;
    return connected >= 0;
}

/* *address: what the caller has given, and then what the socket is given. False: asyncio's own code has to judge it. */
static bool find_destination(const struct pystate *st, PyObject *self, struct datagram *d, PyObject **address,
                             union sockaddr_any *to, socklen_t *ret_size)
{
    bool connected;
    if (d->address && d->address != Py_None) {
        if (*address != Py_None && *address != d->address)
            return false;
        *address = d->address;
    }
    *ret_size = 0;
    return knows_peer(st, self, &connected) && (connected || parse(d, *address, to, ret_size));
}

/* True: there is nothing in the way of sending at once. */
static bool may_send(const struct datagram *d, PyObject *data)
{
    return (PyBytes_Check(data) || PyByteArray_Check(data) || PyMemoryView_Check(data)) && !d->conn_lost &&
           d->protocol && d->buffer && PyObject_Size(d->buffer) == 0;
}

/* 1: asyncio's own code has to do it. 0; -1: an exception is set. */
static int send_view(struct pystate *st, PyObject *self, struct datagram *d, PyObject *address, const Py_buffer *view)
{
    union sockaddr_any to;
    socklen_t size;
    if (view->len == 0 || !find_destination(st, self, d, &address, &to, &size))
        return 1;
    if (size && PySys_Audit("socket.sendto", "OO", d->sock, address))
        return transport_fatal(self, write_failed);
    int fd = transport_fd(st, d->sock);
    ssize_t n =
        fd < 0 ? -1 : sendto(fd, view->buf, (size_t)view->len, TRANSPORT_SEND_FLAGS, size ? &to.any : NULL, size);
    if (likely(n >= 0))
        return 0;
    if (fd >= 0 && transport_would_block(errno))
        return 1;
    if (fd >= 0)
        PyErr_SetFromErrno(PyExc_OSError);
    PyObject *protocol =
        Py_NewRef(d->protocol ? d->protocol : Py_None); /* an audit hook may have closed the transport */
    int result = transport_except(protocol, "error_received", NULL);
    Py_DECREF(protocol);
    return result;
}

static int try_to_send(struct pystate *st, PyObject *self, struct datagram *d, PyObject *data, PyObject *address)
{
    Py_buffer view;
    if (!may_send(d, data))
        return 1;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)) {
        PyErr_Clear();
        return 1;
    }
    int result = send_view(st, self, d, address, &view);
    PyBuffer_Release(&view);
    return result;
}

/* asyncio's method, with what this one was called with. */
static PyObject *call_base(const struct pystate *st, PyObject *self, PyObject *const *args, Py_ssize_t n,
                           PyObject *kwnames)
{
    PyObject *method = PyObject_GetAttr(st->datagram_base, st->name_sendto);
    PyObject *bound = method ? PyMethod_New(method, self) : NULL;
    PyObject *r = bound ? PyObject_Vectorcall(bound, args, (size_t)n, kwnames) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(bound);
    return r;
}

/* sendto(data, addr=None) */
static PyObject *datagram_sendto(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct pystate *st = state_of(self);
    struct datagram *d = datagram_of(st, self);
    bool plain = !kwnames && (n == 1 || n == 2);
    int result = plain ? try_to_send(st, self, d, args[0], n == 2 ? args[1] : Py_None) : 1;
    return result > 0 ? call_base(st, self, args, n, kwnames) : transport_done(result);
}

/* --- the type --- */

static int datagram_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pystate *st = state_of(self);
    struct datagram *d = datagram_of(st, self);
    Py_XSETREF(d->sock, Py_NewRef(Py_None)); /* __del__ asks for it */
    if (PyTuple_GET_SIZE(args) < 2 || !PyObject_TypeCheck(PyTuple_GET_ITEM(args, 0), st->base_type)) {
        PyErr_SetString(PyExc_TypeError, "a loop of Tine's and a socket are required");
        return -1;
    }
    int fd = transport_fd(st, PyTuple_GET_ITEM(args, 1));
    socklen_t size = sizeof d->family;
    if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &d->family, &size))
        PyErr_SetFromErrno(PyExc_OSError);
    else if (fd >= 0 && d->family != AF_INET && d->family != AF_INET6)
        PyErr_SetString(PyExc_TypeError, "a socket of IPv4 or IPv6 is required");
    return PyErr_Occurred() ? -1 : transport_base_init(st->datagram_base, self, args, kwargs);
}

static const PyMethodDef datagram_methods[] = {
    { "_read_ready", datagram_read_ready, METH_NOARGS, NULL },
    { "sendto", (PyCFunction)(void (*)(void))datagram_sendto, METH_FASTCALL | METH_KEYWORDS, NULL },
    { 0 },
};

#define FIELD(name, type, field) { name, type, offsetof(struct datagram, field), 0, NULL }
static const PyMemberDef datagram_members[] = {
    FIELD("_buffer", T_OBJECT_EX, buffer),
    FIELD("_protocol", T_OBJECT_EX, protocol),
    FIELD("_sock", T_OBJECT_EX, sock),
    FIELD("_address", T_OBJECT_EX, address),
    FIELD("_sender", T_OBJECT_EX, sender),
    FIELD("_conn_lost", T_LONG, conn_lost),
    { 0 },
};

int datagram_type_init(PyObject *module, struct pystate *st)
{
    st->datagram_base = transport_import("asyncio.selector_events", "_SelectorDatagramTransport");
    if (!st->datagram_base)
        return -1;
    st->datagram_layout.extra = loop_slot_offset(st->datagram_base, "_extra");
    st->datagram_layout.fields = ((PyTypeObject *)st->datagram_base)->tp_basicsize;
    const struct transport_class class = {
        "_tine.DatagramTransport", st->datagram_base, sizeof(struct datagram), datagram_init,
        datagram_methods,          datagram_members,
    };
    st->datagram_type = st->datagram_layout.extra < 0 ? NULL : transport_type(module, &class);
    return st->datagram_type ? 0 : -1;
}
