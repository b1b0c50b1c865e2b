/* SPDX-License-Identifier: BSD-3-Clause */
/* task_proxy.c: RequestCoroutine, the coroutine that asyncio.Task drives in place of the application's own: its life,
 * its free list, and how it looks to Task.print_stack(), repr() and inspect, which must see the application's coroutine.
 * How it is driven is in task_drive.c. */
#include "worker/python/task_priv.h"

#include <stddef.h>
#include <structmember.h>

#include "worker/python/coro.h"

/* ---- life */

struct proxy *proxy_new(struct pytasks *tasks, const struct job *job)
{
    struct proxy *p;
    if (tasks->n_free > 0) {
        p = tasks->free[--tasks->n_free];
        PyObject_Init((PyObject *)p, tasks->proxy_type);
    } else if (!(p = PyObject_GC_New(struct proxy, tasks->proxy_type))) {
        return NULL;
    }
    p->state = PROXY_SUSPENDED;
    p->origin = p->iterator = p->callable = p->arguments = p->value = p->task = p->weakrefs = NULL;
    p->done = job->done;
    p->arg = Py_XNewRef(job->arg);
    p->tasks = (struct pytasks *)Py_NewRef((PyObject *)tasks);
    p->next = tasks->running_list;
    p->link = &tasks->running_list;
    if (p->next)
        p->next->link = &p->next;
    tasks->running_list = (struct proxy *)Py_NewRef((PyObject *)p);
    PyObject_GC_Track(p);
    return p;
}

static void leave_list(struct proxy *p)
{
    if (!p->link)
        return;
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    p->next = NULL;
    p->link = NULL;
    Py_DECREF(p);
}

void proxy_retire(struct proxy *p)
{
    PyObject *arg = p->arg;
    p->done = NULL;
    p->arg = NULL;
    Py_CLEAR(p->task);
    leave_list(p);
    Py_XDECREF(arg);
}

static int proxy_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct proxy *p = (struct proxy *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(p->origin);
    Py_VISIT(p->iterator);
    Py_VISIT(p->callable);
    Py_VISIT(p->arguments);
    Py_VISIT(p->value);
    Py_VISIT(p->task);
    Py_VISIT(p->arg);
    Py_VISIT(p->tasks);
    return 0;
}

static int proxy_clear(PyObject *self)
{
    struct proxy *p = (struct proxy *)self;
    Py_CLEAR(p->origin);
    Py_CLEAR(p->iterator);
    Py_CLEAR(p->callable);
    Py_CLEAR(p->arguments);
    Py_CLEAR(p->value);
    Py_CLEAR(p->task);
    Py_CLEAR(p->arg);
    return 0;
}

static void proxy_dealloc(PyObject *self)
{
    struct proxy *p = (struct proxy *)self;
    struct pytasks *tasks = p->tasks;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (p->weakrefs)
        PyObject_ClearWeakRefs(self);
    proxy_clear(self);
    if (tasks->n_free < PROXY_FREE_LIST)
        tasks->free[tasks->n_free++] = p;
    else
        PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_DECREF(tasks);
}

void proxy_drop_free_list(struct pytasks *tasks)
{
    while (tasks->n_free > 0)
        PyObject_GC_Del(tasks->free[--tasks->n_free]);
}

/* ---- looks */

/* Name, frame, code: the application's coroutine answers; before it exists, the callable has the name. */
static PyObject *proxy_getattro(PyObject *self, PyObject *name)
{
    struct proxy *p = (struct proxy *)self;
    PyObject *value = PyObject_GenericGetAttr(self, name);
    PyObject *other = p->origin ? p->origin : p->callable;
    if (value || !other || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return value;
    PyErr_Clear();
    return PyObject_GetAttr(other, name);
}

/* An attribute that every coroutine has; `fallback` if what we drive is of another make. */
static PyObject *ask_origin(struct proxy *p, const char *name, PyObject *fallback)
{
    PyObject *value = p->origin ? PyObject_GetAttrString(p->origin, name) : NULL;
    if (value || (p->origin && !PyErr_ExceptionMatches(PyExc_AttributeError)))
        return value;
    PyErr_Clear();
    return Py_NewRef(fallback);
}

static PyObject *get_or_none(PyObject *self, void *name)
{
    return ask_origin((struct proxy *)self, name, Py_None);
}

static PyObject *get_running(PyObject *self, void *name)
{
    struct proxy *p = (struct proxy *)self;
    return ask_origin(p, name, p->state == PROXY_RUNNING ? Py_True : Py_False);
}

static bool is_suspended(const struct proxy *p)
{
    return p->iterator && (p->state == PROXY_SUSPENDED || p->state == PROXY_YIELDED);
}

static PyObject *get_suspended(PyObject *self, void *name)
{
    struct proxy *p = (struct proxy *)self;
    return ask_origin(p, name, is_suspended(p) ? Py_True : Py_False);
}

#if PY_VERSION_HEX >= 0x030f0000
/* What inspect.getcoroutinestate() says, and said of the others before Python 3.15. */
static PyObject *get_state(PyObject *self, void *name)
{
    struct proxy *p = (struct proxy *)self;
    PyObject *own = PyUnicode_FromString(p->state == PROXY_RUNNING ? "CORO_RUNNING"
                                         : is_suspended(p)         ? "CORO_SUSPENDED"
                                                                   : "CORO_CLOSED");
    PyObject *state = own ? ask_origin(p, name, own) : NULL;
    Py_XDECREF(own);
    return state;
}
#endif

static PyObject *proxy_repr(PyObject *self)
{
    struct proxy *p = (struct proxy *)self;
    PyObject *inner = p->origin ? p->origin : p->callable;
    return PyUnicode_FromFormat("<RequestCoroutine of %R>", inner ? inner : Py_None);
}

static PyMethodDef proxy_methods[] = {
    { "send", proxy_send_method, METH_O, NULL },
    { "throw", (PyCFunction)(void (*)(void))proxy_throw_method, METH_FASTCALL, NULL },
    { "close", proxy_close_method, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef proxy_attributes[] = {
    { "cr_await", get_or_none, NULL, NULL, "cr_await" },
    { "cr_code", get_or_none, NULL, NULL, "cr_code" },
    { "cr_frame", get_or_none, NULL, NULL, "cr_frame" },
    { "cr_origin", get_or_none, NULL, NULL, "cr_origin" },
    { "cr_running", get_running, NULL, NULL, "cr_running" },
#if PY_VERSION_HEX >= 0x030f0000
    { "cr_state", get_state, NULL, NULL, "cr_state" },
#endif
    { "cr_suspended", get_suspended, NULL, NULL, "cr_suspended" },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyMemberDef proxy_members[] = {
    { "__weaklistoffset__", T_PYSSIZET, offsetof(struct proxy, weakrefs), READONLY, NULL },
    { NULL, 0, 0, 0, NULL },
};

static PyType_Slot proxy_slots[] = {
    { Py_tp_doc, "The coroutine of a request." },
    { Py_tp_dealloc, proxy_dealloc },
    { Py_tp_traverse, proxy_traverse },
    { Py_tp_clear, proxy_clear },
    { Py_tp_repr, proxy_repr },
    { Py_tp_getattro, proxy_getattro },
    { Py_tp_iter, PyObject_SelfIter },
    { Py_tp_iternext, proxy_next },
    { Py_tp_methods, proxy_methods },
    { Py_tp_getset, proxy_attributes },
    { Py_tp_members, proxy_members },
    { Py_am_await, PyObject_SelfIter },
    { Py_am_send, proxy_send },
    { 0, NULL },
};

static PyType_Spec proxy_spec = {
    .name = "_tine.RequestCoroutine",
    .basicsize = sizeof(struct proxy),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = proxy_slots,
};

PyTypeObject *proxy_make_type(void)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&proxy_spec);
    if (type && coro_register(type) < 0)
        Py_CLEAR(type);
    return type;
}
