/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi2.c: see asgi2.h. Knows nothing of what is in a scope. */
#include "worker/asgi/asgi2.h"

#include <stddef.h>
#include <structmember.h>

struct wrapper {
    PyObject_HEAD vectorcallfunc call_me;
    PyObject *application;
};

static PyObject *wrapper_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    if (PyVectorcall_NARGS(flags) != 3 || (names && PyTuple_GET_SIZE(names))) {
        PyErr_SetString(PyExc_TypeError, "expected scope, receive, send");
        return NULL;
    }
    PyObject *instance = PyObject_CallOneArg(((struct wrapper *)self)->application, args[0]);
    if (!instance)
        return NULL;
    PyObject *coroutine = PyObject_Vectorcall(instance, args + 1, 2, NULL);
    Py_DECREF(instance);
    return coroutine;
}

static int wrapper_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct wrapper *)self)->application);
    return 0;
}

static int wrapper_clear(PyObject *self)
{
    Py_CLEAR(((struct wrapper *)self)->application);
    return 0;
}

static void wrapper_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    wrapper_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMemberDef wrapper_members[] = {
    { "__vectorcalloffset__", T_PYSSIZET, offsetof(struct wrapper, call_me), READONLY, NULL },
    { 0 },
};

static PyType_Slot wrapper_slots[] = {
    { Py_tp_dealloc, wrapper_dealloc }, { Py_tp_traverse, wrapper_traverse }, { Py_tp_clear, wrapper_clear },
    { Py_tp_call, PyVectorcall_Call },  { Py_tp_members, wrapper_members },   { 0 },
};

static PyType_Spec wrapper_spec = {
    .name = "tine.ASGI2",
    .basicsize = sizeof(struct wrapper),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = wrapper_slots,
};

PyObject *asgi2_wrap(PyObject *application)
{
    PyObject *type = PyType_FromSpec(&wrapper_spec);
    struct wrapper *w = type ? PyObject_GC_New(struct wrapper, (PyTypeObject *)type) : NULL;
    Py_XDECREF(type);
    if (!w)
        return NULL;
    w->call_me = wrapper_call;
    w->application = Py_NewRef(application);
    PyObject_GC_Track((PyObject *)w);
    return (PyObject *)w;
}
