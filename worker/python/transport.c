/* SPDX-License-Identifier: BSD-3-Clause */
/* transport.c: what goes wrong on a file of a transport, and where asyncio wants to hear of it; how the classes of
 * transports are made. */
#include "worker/python/transport_priv.h"

#include <errno.h>

#include "common/likely.h"
#include "worker/python/pyerr.h"

/* Without a lookup: it is what each operation begins with. */
int transport_fd(const struct pystate *st, PyObject *sock)
{
    bool open = sock && sock != Py_None;
    if (unlikely(open && !PyObject_TypeCheck(sock, st->socket_type)))
        return PyObject_AsFileDescriptor(sock); /* somebody wrapped it, as CPython's own tests do */
    PyObject *number = open ? st->socket_fileno(sock, NULL) : NULL;
    long fd = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (unlikely(fd < 0) && !PyErr_Occurred()) {
        errno = EBADF;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return (int)fd;
}

bool transport_would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int transport_except(PyObject *object, const char *method, const char *where)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        return -1;
    PyObject *exception = pyerr_take();
    PyObject *before = PyErr_GetHandledException();
    PyErr_SetHandledException(exception);
    PyObject *r = where ? PyObject_CallMethod(object, method, "Os", exception, where)
                        : PyObject_CallMethod(object, method, "O", exception);
    PyErr_SetHandledException(before);
    Py_XDECREF(before);
    Py_DECREF(exception);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

int transport_fatal(PyObject *self, const char *where)
{
    return transport_except(self, "_fatal_error", where);
}

int transport_fatal_errno(PyObject *self, const char *where)
{
    PyErr_SetFromErrno(PyExc_OSError);
    return transport_fatal(self, where);
}

char *transport_scratch(struct pystate *st)
{
    if (unlikely(!st->read_scratch) && !(st->read_scratch = PyMem_RawMalloc(TRANSPORT_READ_MAX)))
        PyErr_NoMemory();
    return st->read_scratch;
}

int transport_base_init(PyObject *base, PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *init = PyObject_GetAttrString(base, "__init__");
    PyObject *bound = init ? PyMethod_New(init, self) : NULL;
    PyObject *r = bound ? PyObject_Call(bound, args, kwargs) : NULL;
    Py_XDECREF(init);
    Py_XDECREF(bound);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

PyTypeObject *transport_type(PyObject *module, const struct transport_class *class)
{
    enum { MEMBERS_MAX = 12 };
    PyMemberDef members[MEMBERS_MAX + 1] = { 0 };
    Py_ssize_t fields = ((PyTypeObject *)class->base)->tp_basicsize;
    for (size_t i = 0; i < MEMBERS_MAX && class->members[i].name; i++) {
        members[i] = class->members[i];
        members[i].offset += fields;
    }
    PyType_Slot slots[] = {
        { Py_tp_init, (void *)class->init },
        { Py_tp_methods, (void *)class->methods },
        { Py_tp_members, members },
        { 0 },
    };
    PyType_Spec spec = {
        .name = class->name,
        .basicsize = (int)(fields + (Py_ssize_t) class->size),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, class->base);
}

PyObject *transport_import(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *object = module ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return object;
}

/* What a method of sockets without arguments calls; NULL with an exception set. */
static PyCFunction socket_method(const struct pystate *st, const char *name)
{
    PyObject *method = PyObject_GetAttrString((PyObject *)st->socket_type, name);
    PyCFunction function = NULL;
    if (method && Py_IS_TYPE(method, &PyMethodDescr_Type))
        function = ((PyMethodDescrObject *)method)->d_method->ml_meth;
    else if (method)
        PyErr_Format(PyExc_ImportError, "_socket.socket has no method %s()", name);
    Py_XDECREF(method);
    return function;
}

static int find_family(struct pystate *st)
{
    PyObject *member = PyObject_GetAttrString((PyObject *)st->socket_type, "family");
    bool found =
        member && Py_IS_TYPE(member, &PyMemberDescr_Type) && ((PyMemberDescrObject *)member)->d_member->type == T_INT;
    if (found)
        st->socket_family = ((PyMemberDescrObject *)member)->d_member->offset;
    else if (member)
        PyErr_SetString(PyExc_ImportError, "_socket.socket has no family");
    Py_XDECREF(member);
    return found ? 0 : -1;
}

static int find_plain_socket(struct pystate *st)
{
    PyObject *type = transport_import("socket", "socket");
    bool usable = type && PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, st->socket_type);
    if (usable)
        st->plain_socket_type = (PyTypeObject *)Py_NewRef(type);
    Py_XDECREF(type);
    return type ? 0 : -1;
}

int transport_init(struct pystate *st)
{
    st->socket_type = (PyTypeObject *)transport_import("_socket", "socket");
    if (!st->socket_type || !(st->socket_fileno = socket_method(st, "fileno")) ||
        !(st->socket_gettimeout = socket_method(st, "gettimeout")))
        return -1;
    return find_family(st) || find_plain_socket(st) ? -1 : 0;
}
