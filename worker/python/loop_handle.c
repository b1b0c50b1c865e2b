/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_handle.c: what call_soon() and call_later() return. The instances are asyncio.Handle's and
 * asyncio.TimerHandle's (their slots, their repr, their comparison); only making, running and
 * cancelling them is done here, because those are on the path of every request. In debug mode
 * asyncio's own code makes and runs them. */
#include "worker/python/loop_handle.h"

#include <structmember.h>

#include "worker/python/fork_child.h"
#include "common/likely.h"
#include "worker/python/coro.h"
#include "worker/python/loop_priv.h"
#include "worker/python/pyerr.h"

Py_ssize_t loop_slot_offset(PyObject *type, const char *name)
{
    PyObject *descr = PyObject_GetAttrString(type, name);
    if (!descr)
        return -1;
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(descr, &PyMemberDescr_Type) && ((PyMemberDescrObject *)descr)->d_member->type == T_OBJECT_EX)
        offset = ((PyMemberDescrObject *)descr)->d_member->offset;
    else
        PyErr_Format(PyExc_ImportError, "%R has no slot %s", type, name);
    Py_DECREF(descr);
    return offset;
}

struct slot_row {
    const char *name;
    size_t at; /* in struct handle_layout */
};

static const struct slot_row handle_slots[] = {
    { "_callback", offsetof(struct handle_layout, callback) },
    { "_args", offsetof(struct handle_layout, args) },
    { "_cancelled", offsetof(struct handle_layout, cancelled) },
    { "_loop", offsetof(struct handle_layout, loop) },
    { "_source_traceback", offsetof(struct handle_layout, source_traceback) },
    { "_repr", offsetof(struct handle_layout, repr) },
    { "_context", offsetof(struct handle_layout, context) },
    { NULL, 0 },
};

static const struct slot_row timer_slots[] = {
    { "_when", offsetof(struct handle_layout, when) },
    { "_scheduled", offsetof(struct handle_layout, scheduled) },
    { NULL, 0 },
};

static int find_slots(struct pystate *st, PyObject *type, const struct slot_row *rows)
{
    for (; rows->name; rows++) {
        Py_ssize_t offset = loop_slot_offset(type, rows->name);
        if (offset < 0)
            return -1;
        *(Py_ssize_t *)((char *)&st->layout + rows->at) = offset;
    }
    return 0;
}

static inline void slot_set(PyObject *handle, Py_ssize_t offset, PyObject *value)
{
    PyObject *old = HANDLE_SLOT(handle, offset);
    HANDLE_SLOT(handle, offset) = value;
    Py_XDECREF(old);
}

static PyObject *args_tuple(PyObject *const *args, Py_ssize_t n)
{
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple && i < n; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    return tuple;
}

/* Through asyncio's __init__, which keeps the stack that made the handle. */
static PyObject *new_debug(struct pyloop *loop, PyObject *when, PyObject *callback, PyObject *args, PyObject *context)
{
    PyObject *self = (PyObject *)loop;
    if (!context)
        context = Py_None;
    if (!when)
        return PyObject_CallFunctionObjArgs((PyObject *)loop->st->handle_type, callback, args, self, context, NULL);
    return PyObject_CallFunctionObjArgs((PyObject *)loop->st->timer_type, when, callback, args, self, context, NULL);
}

static PyObject *new_plain(struct pyloop *loop, PyObject *when, PyObject *callback, PyObject *args, PyObject *context)
{
    const struct handle_layout *at = &loop->st->layout;
    PyTypeObject *type = when ? loop->st->timer_type : loop->st->handle_type;
    PyObject *h = type->tp_alloc(type, 0);
    if (!h)
        return NULL;
    HANDLE_SLOT(h, at->callback) = Py_NewRef(callback);
    HANDLE_SLOT(h, at->args) = Py_NewRef(args);
    HANDLE_SLOT(h, at->cancelled) = Py_NewRef(Py_False);
    HANDLE_SLOT(h, at->loop) = Py_NewRef((PyObject *)loop);
    HANDLE_SLOT(h, at->source_traceback) = Py_NewRef(Py_None);
    HANDLE_SLOT(h, at->repr) = Py_NewRef(Py_None);
    HANDLE_SLOT(h, at->context) = context && context != Py_None ? Py_NewRef(context) : PyContext_CopyCurrent();
    if (when) {
        HANDLE_SLOT(h, at->when) = Py_NewRef(when);
        HANDLE_SLOT(h, at->scheduled) = Py_NewRef(Py_False);
    }
    if (!HANDLE_SLOT(h, at->context))
        Py_CLEAR(h);
    return h;
}

PyObject *loop_handle_new(struct pyloop *loop, PyObject *when, PyObject *callback, PyObject *const *args, Py_ssize_t n,
                          PyObject *context)
{
    PyObject *tuple = args_tuple(args, n);
    if (!tuple)
        return NULL;
    bool traced = loop->debug && PyEval_GetFrame(); /* else there is no stack to keep */
    PyObject *h = (traced ? new_debug : new_plain)(loop, when, callback, tuple, context);
    Py_DECREF(tuple);
    return h;
}

/* In debug mode it keeps the stack that made it, and its __init__, which calls another, stands in there too. */
static int drop_own_init(const struct pystate *st, PyObject *handle)
{
    PyObject *stack = HANDLE_SLOT(handle, st->layout.source_traceback);
    Py_ssize_t n = stack && PyList_Check(stack) ? PyList_GET_SIZE(stack) : 0;
    return n ? PyList_SetSlice(stack, n - 1, n, NULL) : 0;
}

PyObject *loop_handle_new_shared(struct pyloop *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n,
                                 PyObject *context)
{
    if (!loop->st->shared_type)
        return loop_handle_new(loop, NULL, callback, args, n, context);
    PyObject *tuple = args_tuple(args, n), *self = (PyObject *)loop;
    PyObject *h = tuple ? PyObject_CallFunctionObjArgs(loop->st->shared_type, callback, tuple, self,
                                                       context ? context : Py_None, NULL)
                        : NULL;
    Py_XDECREF(tuple);
    if (h && drop_own_init(loop->st, h))
        Py_CLEAR(h);
    return h;
}

/* asyncio's cancel() keeps a repr in debug mode: then it is asyncio's that runs. */
static int cancel_by_base(PyTypeObject *type, PyObject *handle)
{
    PyObject *r = PyObject_CallMethod((PyObject *)type->tp_base, "cancel", "O", handle);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

int loop_handle_cancel(struct pyloop *loop, PyObject *handle)
{
    struct pystate *st = loop->st;
    if (handle_is_cancelled(st, handle))
        return 0;
    Py_INCREF(handle);
    if (Py_IS_TYPE(handle, st->timer_type))
        timers_remove(loop, handle);
    int result = 0;
    if (loop->debug) {
        result = cancel_by_base(Py_TYPE(handle), handle);
    } else {
        slot_set(handle, st->layout.cancelled, Py_NewRef(Py_True));
        slot_set(handle, st->layout.callback, Py_NewRef(Py_None));
        slot_set(handle, st->layout.args, Py_NewRef(Py_None));
    }
    Py_DECREF(handle);
    return result;
}

static PyObject *handle_cancel(PyObject *self, PyObject *unused)
{
    struct pystate *st = PyType_GetModuleState(Py_TYPE(self));
    PyObject *loop = HANDLE_SLOT(self, st->layout.loop);
    if (!loop || !PyObject_TypeCheck(loop, st->base_type)) {
        PyErr_SetString(PyExc_RuntimeError, "the handle has no loop");
        return NULL;
    }
    if (loop_handle_cancel((struct pyloop *)loop, self))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *call_in(PyObject *context, PyObject *callback, PyObject *args)
{
    if (PyContext_Enter(context))
        return NULL;
    PyObject *r = PyObject_Vectorcall(callback, ((PyTupleObject *)args)->ob_item, PyTuple_GET_SIZE(args), NULL);
    if (PyContext_Exit(context))
        Py_CLEAR(r);
    return r;
}

/* A context that is not contextvars.Context, or arguments that were replaced: as asyncio's
 * Python does it. */
static PyObject *call_loosely(struct pystate *st, PyObject *context, PyObject *callback, PyObject *args)
{
    PyObject *run = PyObject_GetAttr(context, st->name_run);
    PyObject *all = PySequence_List(args);
    PyObject *r = NULL;
    if (run && all && !PyList_Insert(all, 0, callback)) {
        PyObject *tuple = PyList_AsTuple(all);
        if (tuple)
            r = PyObject_Call(run, tuple, NULL);
        Py_XDECREF(tuple);
    }
    Py_XDECREF(all);
    Py_XDECREF(run);
    return r;
}

/* Takes the exception that is set. 0, or -1 with one that must leave the loop. */
static int report_failure(struct pyloop *loop, PyObject *handle)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        return -1;
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback)
        PyException_SetTraceback(exception, traceback);
    PyObject *r =
        PyObject_CallMethodObjArgs((PyObject *)loop, loop->st->name__callback_failed, handle, exception, NULL);
    Py_XDECREF(type);
    Py_XDECREF(exception);
    Py_XDECREF(traceback);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* In a process that the callback has forked, an application's own loop goes on, as asyncio's does. */
static inline void came_back(struct pyloop *loop, PyObject *callback)
{
    if (!loop->owns_base)
        fork_child_came_back(callback, false);
}

static int run_handle(struct pyloop *loop, PyObject *handle)
{
    struct pystate *st = loop->st;
    if (loop->debug || (!Py_IS_TYPE(handle, st->handle_type) && !Py_IS_TYPE(handle, st->timer_type))) {
        PyObject *r = PyObject_CallMethodOneArg((PyObject *)loop, st->name__run_handle, handle);
        came_back(loop, handle);
        Py_XDECREF(r);
        return r ? 0 : -1;
    }
    PyObject *callback = HANDLE_SLOT(handle, st->layout.callback);
    PyObject *args = HANDLE_SLOT(handle, st->layout.args);
    PyObject *context = HANDLE_SLOT(handle, st->layout.context);
    if (handle_is_cancelled(st, handle) || !callback || !args || !context)
        return 0;
    /* The callback may cancel its own handle, which drops these three. */
    Py_INCREF(callback);
    Py_INCREF(args);
    Py_INCREF(context);
    PyObject *r = PyContext_CheckExact(context) && PyTuple_CheckExact(args) ? call_in(context, callback, args)
                                                                            : call_loosely(st, context, callback, args);
    came_back(loop, callback);
    int result = r ? 0 : report_failure(loop, handle);
    Py_XDECREF(r);
    Py_DECREF(callback);
    Py_DECREF(args);
    Py_DECREF(context);
    return result;
}

/* After a callback that has called pyloop_forgive(). 0, or -1: what it raised is another exception. */
static int settle_forgiven(struct pyloop *loop, int result)
{
    PyObject *forgiven = loop->forgiven;
    loop->forgiven = NULL;
    if (result) {
        PyObject *exception = pyerr_take();
        if (exception == forgiven) {
            Py_DECREF(exception);
            result = 0;
        } else {
            coro_restore(exception);
        }
    }
    Py_DECREF(forgiven);
    return result;
}

int loop_handle_run(struct pyloop *loop, PyObject *handle)
{
    int result = run_handle(loop, handle);
    return unlikely(loop->forgiven) ? settle_forgiven(loop, result) : result;
}

static const PyMethodDef handle_methods[] = {
    { "cancel", handle_cancel, METH_NOARGS, NULL },
    { 0 },
};

static PyTypeObject *make_type(PyObject *module, PyObject *base, const char *name, size_t extra)
{
    /* Deallocation, traversal and with it the flag HAVE_GC are inherited: the slots are the base's,
     * and the place in the heap owns nothing. */
    PyType_Slot slots[] = { { Py_tp_methods, (void *)handle_methods }, { 0 } };
    PyType_Spec spec = {
        .name = name,
        .basicsize = (int)(((PyTypeObject *)base)->tp_basicsize + (Py_ssize_t)extra),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, base);
}

int loop_handle_init(PyObject *module, struct pystate *st)
{
    int result = -1;
    PyObject *timer = NULL, *handle = NULL;
    PyObject *events = PyImport_ImportModule("asyncio.events");
    if (!events)
        return -1;
    handle = PyObject_GetAttrString(events, "Handle");
    timer = PyObject_GetAttrString(events, "TimerHandle");
    if (!handle || !timer || find_slots(st, handle, handle_slots) || find_slots(st, timer, timer_slots))
        goto out;
    st->layout.place = ((PyTypeObject *)timer)->tp_basicsize;
#if PY_VERSION_HEX >= 0x030e0000
    if (!(st->shared_type = PyObject_GetAttrString(events, "_ThreadSafeHandle")))
        goto out;
#endif
    st->handle_type = make_type(module, handle, "_tine.Handle", 0);
    st->timer_type = make_type(module, timer, "_tine.TimerHandle", sizeof(struct timer_place));
    if (st->handle_type && st->timer_type)
        result = 0;
out:
    Py_XDECREF(handle);
    Py_XDECREF(timer);
    Py_DECREF(events);
    return result;
}
