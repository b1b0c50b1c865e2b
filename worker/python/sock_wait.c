/* SPDX-License-Identifier: BSD-3-Clause */
/* sock_wait.c: SockWait, what the loop calls when a socket is ready for an operation that has to wait, and its Future. The
 * coroutine of the operation (loop.py) awaits the Future and calls end(), so that nothing is watched after a cancellation.
 *
 * The attempt may run code of the application's: what it uses of the call may be gone after that. */
#include "worker/python/sock_wait.h"

#include <stdbool.h>
#include <structmember.h>

#include "worker/python/loop_handle.h"
#include "worker/python/loop_priv.h"
#include "worker/python/pyerr.h"
#include "worker/python/transport_priv.h"

struct sock_wait {
    PyObject_HEAD struct pyloop *loop; /* owned, as all objects here; NULL: it has ended */
    PyObject *future;
    PyObject *handle; /* of the watch; NULL: nothing is watched any more */
    struct sock_call call;
    int kind, fd;
};

static struct sock_wait *wait_of(PyObject *self)
{
    return (struct sock_wait *)self;
}

/* Whoever has been given the watch since keeps it: then the handle is cancelled. In another thread than the loop's the
 * watch is left: what happens there tells nobody, as the Future is gone. */
static void unwatch(struct pystate *st, struct sock_wait *w)
{
    PyObject *handle = w->handle;
    w->handle = NULL;
    if (!handle)
        return;
    if (!handle_is_cancelled(st, handle)) {
        PyObject *fd = PyLong_FromLong(w->fd), *r = fd ? loop_remove_watch(w->loop, w->kind, fd) : NULL;
        if (!r)
            PyErr_Clear();
        Py_XDECREF(r);
        Py_XDECREF(fd);
    }
    Py_DECREF(handle);
}

static int wait_clear(PyObject *self)
{
    struct sock_wait *w = wait_of(self);
    Py_CLEAR(w->handle);
    Py_CLEAR(w->loop);
    Py_CLEAR(w->future);
    Py_CLEAR(w->call.sock);
    Py_CLEAR(w->call.argument);
    PyBuffer_Release(&w->call.view);
    return 0;
}

/* Before an exception of the operation, or after a cancellation, is seen by the application. */
static PyObject *wait_end(PyObject *self, PyObject *unused)
{
    unwatch(PyType_GetModuleState(Py_TYPE(self)), wait_of(self));
    wait_clear(self);
    Py_RETURN_NONE;
}

static int is_done(PyObject *future)
{
    PyObject *r = PyObject_CallMethod(future, "done", NULL);
    int done = r ? PyObject_IsTrue(r) : -1;
    Py_XDECREF(r);
    return done;
}

/* Gives the Future the result (stolen), or the exception that is set if it is NULL. 0, or -1 with an exception set. */
static int settle(PyObject *future, PyObject *result)
{
    const char *method = "set_result";
    if (!result) {
        if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
            return -1;
        method = "set_exception";
        result = pyerr_take();
    }
    PyObject *r = PyObject_CallMethod(future, method, "(O)", result);
    Py_DECREF(result);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* The socket is ready. */
static PyObject *wait_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pystate *st = PyType_GetModuleState(Py_TYPE(self));
    struct sock_wait *w = wait_of(self);
    PyObject *future = Py_XNewRef(w->future), *result = NULL;
    int done = future ? is_done(future) : 1;
    int rc = done < 0 ? -1 : 0;
    if (done == 0)
        rc = w->call.attempt(st, &w->call, &result);
    if (done == 0 && rc != 0) {
        rc = settle(future, result);
        unwatch(st, w);
    }
    Py_XDECREF(future);
    return transport_done(rc);
}

/* What asyncio asks before it waits for a descriptor. The answer is always the same unless a transport has been made for
 * one of that number, and not yet been forgotten. */
static int check_no_transport(const struct pystate *st, PyObject *loop, PyObject *fd)
{
    PyObject *transports = PyObject_GetAttr(loop, st->name__transports);
    PyObject *data = transports ? PyObject_GetAttr(transports, st->name_data) : NULL;
    bool free = data && PyDict_CheckExact(data) && !PyDict_GetItemWithError(data, fd) && !PyErr_Occurred();
    Py_XDECREF(transports);
    Py_XDECREF(data);
    if (free)
        return 0;
    PyErr_Clear();
    PyObject *r = PyObject_CallMethod(loop, "_ensure_fd_no_transport", "O", fd);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static int watch(struct pystate *st, struct sock_wait *w)
{
    PyObject *loop = (PyObject *)w->loop;
    PyObject *args[] = { NULL, (PyObject *)w };
    w->future = PyObject_Vectorcall(st->future_type, &loop, 0, st->future_kwnames);
    w->fd = w->future ? transport_fd(st, w->call.sock) : -1;
    args[0] = w->fd >= 0 ? PyLong_FromLong(w->fd) : NULL;
    if (args[0] && !check_no_transport(st, loop, args[0]))
        w->handle = loop_add_watch(w->loop, w->kind, args, 2, NULL);
    Py_XDECREF(args[0]);
    return w->handle ? 0 : -1;
}

PyObject *sock_wait_new(struct pystate *st, struct pyloop *loop, struct sock_call *call, int kind)
{
    struct sock_wait *w = (struct sock_wait *)st->sock_wait_type->tp_alloc(st->sock_wait_type, 0);
    if (!w) {
        PyBuffer_Release(&call->view);
        return NULL;
    }
    w->call = *call;
    w->loop = (struct pyloop *)Py_NewRef((PyObject *)loop);
    w->call.sock = Py_NewRef(call->sock);
    w->call.argument = Py_XNewRef(call->argument);
    w->kind = kind;
    if (watch(st, w)) {
        Py_DECREF(w);
        return NULL;
    }
    return (PyObject *)w;
}

static int wait_visit(PyObject *self, visitproc visit, void *arg)
{
    struct sock_wait *w = wait_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)w->loop);
    Py_VISIT(w->future);
    Py_VISIT(w->handle);
    Py_VISIT(w->call.sock);
    Py_VISIT(w->call.argument);
    Py_VISIT(w->call.view.obj);
    return 0;
}

static void wait_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    wait_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static const PyMethodDef wait_methods[] = {
    { "end", wait_end, METH_NOARGS, NULL },
    { 0 },
};

static const PyMemberDef wait_members[] = {
    { "future", T_OBJECT_EX, offsetof(struct sock_wait, future), READONLY, NULL },
    { 0 },
};

int sock_wait_type_init(PyObject *module, struct pystate *st)
{
    PyType_Slot slots[] = {
        { Py_tp_dealloc, wait_dealloc },
        { Py_tp_traverse, wait_visit },
        { Py_tp_clear, wait_clear },
        { Py_tp_call, wait_call },
        { Py_tp_methods, (void *)wait_methods },
        { Py_tp_members, (void *)wait_members },
        { 0 },
    };
    PyType_Spec spec = {
        .name = "_tine.SockWait",
        .basicsize = sizeof(struct sock_wait),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    st->sock_wait_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return st->sock_wait_type ? 0 : -1;
}
