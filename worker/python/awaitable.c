/* SPDX-License-Identifier: BSD-3-Clause */
/* awaitable.c: coroutines that are over before they begin: `await x` costs no Future, no Task switch and, from the
 * free list, no allocation. It must never suspend: a result that is not there yet needs a Future. */
#include "worker/python/awaitable.h"

#include <stddef.h>

#include "worker/python/coro.h"

#ifdef __SANITIZE_ADDRESS__ /* what was freed must look freed */
enum { FREE_LIST = 1 };
#else
enum { FREE_LIST = 64 };
#endif

enum kind {
    READY,  /* has a result for who awaits it first */
    RAISES, /* `value` is the exception */
    SPENT,  /* was awaited, thrown into or closed */
    ALWAYS, /* returns None, however often */
};

struct ready {
    PyObject_HEAD PyObject *value;
    struct awaitables *owner;
    enum kind kind;
};

/* Outlives awaitables_free() for as long as an application holds one of its objects. */
struct awaitables {
    PyTypeObject *type;
    PyObject *none;
    size_t live; /* objects in Python's hands, and one for the owner */
    unsigned n_free;
    struct ready *free[FREE_LIST];
};

static void unref(struct awaitables *a)
{
    if (--a->live > 0)
        return;
    while (a->n_free > 0)
        PyObject_GC_Del(a->free[--a->n_free]);
    Py_XDECREF(a->type);
    PyMem_Free(a);
}

static int ready_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct ready *)self)->value);
    return 0;
}

static int ready_clear(PyObject *self)
{
    Py_CLEAR(((struct ready *)self)->value);
    return 0;
}

static void ready_dealloc(PyObject *self)
{
    struct ready *r = (struct ready *)self;
    struct awaitables *a = r->owner;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(r->value);
    if (a->n_free < FREE_LIST)
        a->free[a->n_free++] = r;
    else
        PyObject_GC_Del(self);
    Py_DECREF(type);
    unref(a);
}

static PySendResult ready_send(PyObject *self, PyObject *arg, PyObject **ret)
{
    struct ready *r = (struct ready *)self;
    *ret = NULL;
    if (r->kind == ALWAYS) {
        *ret = Py_NewRef(Py_None);
        return PYGEN_RETURN;
    }
    if (r->kind == SPENT) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    if (arg && arg != Py_None) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        return PYGEN_ERROR;
    }
    enum kind kind = r->kind;
    PyObject *value = r->value;
    r->kind = SPENT;
    r->value = NULL;
    if (!value) { /* a finalizer got hold of it after the garbage collector had cleared it */
        PyErr_SetString(PyExc_RuntimeError, "coroutine was cleared");
        return PYGEN_ERROR;
    }
    if (kind == READY) {
        *ret = value;
        return PYGEN_RETURN;
    }
    coro_raise(value);
    Py_DECREF(value);
    return PYGEN_ERROR;
}

static PyObject *ready_method_send(PyObject *self, PyObject *arg)
{
    PyObject *value;
    if (ready_send(self, arg, &value) == PYGEN_RETURN) {
        coro_stop(value);
        Py_DECREF(value);
    }
    return NULL;
}

static PyObject *ready_next(PyObject *self)
{
    return ready_method_send(self, Py_None);
}

static PyObject *ready_throw(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct ready *r = (struct ready *)self;
    if (r->kind == SPENT) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    PyObject *exception = coro_throw_argument(args, n);
    if (!exception)
        return NULL;
    if (r->kind != ALWAYS) {
        r->kind = SPENT;
        Py_CLEAR(r->value);
    }
    coro_raise(exception);
    Py_DECREF(exception);
    return NULL;
}

static PyObject *ready_close(PyObject *self, PyObject *unused)
{
    struct ready *r = (struct ready *)self;
    if (r->kind != ALWAYS) {
        r->kind = SPENT;
        Py_CLEAR(r->value);
    }
    Py_RETURN_NONE;
}

/* inspect and asyncio's repr ask coroutines for these. */
static PyObject *ready_none_attribute(PyObject *self, void *unused)
{
    Py_RETURN_NONE;
}

static PyObject *ready_false_attribute(PyObject *self, void *unused)
{
    Py_RETURN_FALSE;
}

#if PY_VERSION_HEX >= 0x030f0000
static PyObject *ready_state(PyObject *self, void *unused)
{
    return PyUnicode_InternFromString("CORO_CLOSED"); /* as the others say: there is no frame */
}
#endif

static PyObject *ready_name(PyObject *self, void *unused)
{
    return PyUnicode_InternFromString("Ready");
}

static PyMethodDef ready_methods[] = {
    { "send", ready_method_send, METH_O, NULL },
    { "throw", (PyCFunction)(void (*)(void))ready_throw, METH_FASTCALL, NULL },
    { "close", ready_close, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef ready_attributes[] = {
    { "__name__", ready_name, NULL, NULL, NULL },
    { "__qualname__", ready_name, NULL, NULL, NULL },
    { "cr_await", ready_none_attribute, NULL, NULL, NULL },
    { "cr_code", ready_none_attribute, NULL, NULL, NULL },
    { "cr_frame", ready_none_attribute, NULL, NULL, NULL },
    { "cr_running", ready_false_attribute, NULL, NULL, NULL },
#if PY_VERSION_HEX >= 0x030f0000
    { "cr_state", ready_state, NULL, NULL, NULL },
#endif
    { "cr_suspended", ready_false_attribute, NULL, NULL, NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot ready_slots[] = {
    { Py_tp_doc, "A coroutine that returns at once." },
    { Py_tp_dealloc, ready_dealloc },
    { Py_tp_traverse, ready_traverse },
    { Py_tp_clear, ready_clear },
    { Py_tp_iter, PyObject_SelfIter },
    { Py_tp_iternext, ready_next },
    { Py_tp_methods, ready_methods },
    { Py_tp_getset, ready_attributes },
    { Py_am_await, PyObject_SelfIter },
    { Py_am_send, ready_send },
    { 0, NULL },
};

static PyType_Spec ready_spec = {
    .name = "_tine.Ready",
    .basicsize = sizeof(struct ready),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ready_slots,
};

/* `value` stolen, also on failure. */
static PyObject *ready_new(struct awaitables *a, enum kind kind, PyObject *value)
{
    struct ready *r;
    if (a->n_free > 0) {
        r = a->free[--a->n_free];
        PyObject_Init((PyObject *)r, a->type);
    } else if (!(r = PyObject_GC_New(struct ready, a->type))) {
        Py_XDECREF(value);
        return NULL;
    }
    r->value = value;
    r->owner = a;
    r->kind = kind;
    a->live++;
    PyObject_GC_Track(r);
    return (PyObject *)r;
}

struct awaitables *awaitables_new(void)
{
    struct awaitables *a = PyMem_Calloc(1, sizeof *a);
    if (!a) {
        PyErr_NoMemory();
        return NULL;
    }
    a->live = 1;
    a->type = (PyTypeObject *)PyType_FromSpec(&ready_spec);
    if (!a->type || coro_register(a->type) < 0 || !(a->none = ready_new(a, ALWAYS, NULL))) {
        unref(a);
        return NULL;
    }
    return a;
}

void awaitables_free(struct awaitables *a)
{
    if (!a)
        return;
    Py_CLEAR(a->none);
    unref(a);
}

PyObject *awaitable_value(struct awaitables *a, PyObject *value)
{
    return value ? ready_new(a, READY, value) : NULL;
}

PyObject *awaitable_none(struct awaitables *a)
{
    return Py_NewRef(a->none);
}

PyObject *awaitable_raise(struct awaitables *a, PyObject *exception)
{
    return ready_new(a, RAISES, Py_NewRef(exception));
}
