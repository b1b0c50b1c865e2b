/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_channel.c: receive(), send() and their awaitable. Knows no event by name. */
#include "worker/asgi/asgi_channel.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <structmember.h>

#include "common/likely.h"
#include "worker/asgi/asgi_state.h"
#include "worker/python/awaitable.h"
#include "worker/python/coro.h"
#include "worker/python/fork_child.h"
#include "worker/python/loop.h"

/* --- free lists --- */

PyObject *free_list_new(struct free_list *list, PyTypeObject *type)
{
    if (list->n)
        return PyObject_Init(list->v[--list->n], type);
    PyObject *o = PyObject_Malloc((size_t)type->tp_basicsize);
    return o ? PyObject_Init(o, type) : PyErr_NoMemory();
}

void free_list_put(struct free_list *list, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (list->n < ASGI_FREE_MAX)
        list->v[list->n++] = object;
    else
        PyObject_Free(object);
    Py_DECREF(type);
}

void free_list_clear(struct free_list *list)
{
    while (list->n)
        PyObject_Free(list->v[--list->n]);
}

/* --- waiting --- */

void channel_init(struct channel *c, struct asgi *asgi, const struct channel_ops *ops)
{
    c->asgi = asgi;
    c->ops = ops;
    c->waiter = NULL;
    c->waiters = NULL;
    c->wakes = 0;
}

void channel_clear(struct channel *c)
{
    Py_CLEAR(c->waiter);
    Py_CLEAR(c->waiters);
}

void channel_wake(struct channel *c)
{
    PyObject *one = c->waiter, *more = c->waiters;
    c->waiter = c->waiters = NULL;
    c->wakes++;
    if (one) {
        pyloop_future_result(one, Py_None);
        Py_DECREF(one);
    }
    if (!more)
        return;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(more); i++)
        pyloop_future_result(PyList_GET_ITEM(more, i), Py_None);
    Py_DECREF(more);
}

/* Notes `future` (borrowed) for the next channel_wake(). An application that asks every second and gives up in between
 * (Starlette's is_disconnected()) leaves a cancelled future each time: the next one takes its place. */
static int channel_note(struct channel *c, PyObject *future)
{
    if (!c->waiter || pyloop_future_done(c->waiter)) {
        Py_XSETREF(c->waiter, Py_NewRef(future));
        return 0;
    }
    if (!c->waiters) {
        PyObject *list = PyList_New(0); /* may collect garbage, whose finalizers wait here too */
        if (!list)
            return -1;
        if (c->waiters)
            Py_DECREF(list);
        else
            c->waiters = list;
    }
    Py_ssize_t n = PyList_GET_SIZE(c->waiters);
    if (n && pyloop_future_done(PyList_GET_ITEM(c->waiters, n - 1)))
        return PyList_SetItem(c->waiters, n - 1, Py_NewRef(future));
    return PyList_Append(c->waiters, future);
}

/* --- the awaitable --- */

#define OURS "receive() and send() are" /* for fork_child_refuse() */

enum step_kind {
    STEP_RECEIVE,
    STEP_SENT,
    STEP_TURN, /* as asyncio.sleep(0) */
    STEP_PASS, /* has nothing to wait for, but the loop has checkpoints */
};

enum step_state {
    STEP_READY,
    STEP_RUNNING, /* a send() of it is on the C stack */
    STEP_ENDED,
};

struct step {
    PyObject_HEAD struct asgi *asgi;
    struct channel *channel; /* NULL when ended */
    PyObject *waiting;       /* iterator of the future that is waited for */
    enum step_kind kind;
    enum step_state state;
    bool at_checkpoint; /* it begins with one */
};

/* Also of a fresh object, whose old state means nothing. */
static void step_set_state(struct step *s, enum step_state to)
{
    assert(to != STEP_RUNNING || s->state == STEP_READY);
    s->state = to;
}

static PyObject *step_new(struct channel *c, enum step_kind kind)
{
    struct step *s = (struct step *)free_list_new(&c->asgi->steps, c->asgi->step_type);
    if (!s)
        return NULL;
    s->asgi = c->asgi;
    s->channel = (struct channel *)Py_NewRef((PyObject *)c);
    s->waiting = NULL;
    s->kind = kind;
    s->at_checkpoint = c->asgi->has_checkpoints;
    step_set_state(s, STEP_READY);
    return (PyObject *)s;
}

static void step_end(struct step *s)
{
    struct channel *c = s->channel;
    s->channel = NULL;
    step_set_state(s, STEP_ENDED);
    Py_CLEAR(s->waiting);
    Py_XDECREF((PyObject *)c);
}

static void step_dealloc(PyObject *o)
{
    struct asgi *asgi = ((struct step *)o)->asgi;
    step_end((struct step *)o);
    free_list_put(&asgi->steps, o);
}

/* For the next channel_wake(), or for the one that came since `wakes`: making a future may run a finalizer. */
static int step_wait(struct step *s, unsigned wakes)
{
    struct channel *c = s->channel;
    PyObject *future = pyloop_future(s->asgi->env.loop);
    if (!future)
        return -1;
    PyAsyncMethods *async = Py_TYPE(future)->tp_as_async;
    if (channel_note(c, future) == 0)
        s->waiting = async->am_await(future);
    Py_DECREF(future);
    if (s->waiting && c->wakes != wakes)
        channel_wake(c);
    return s->waiting ? 0 : -1;
}

static enum channel_result step_ask(struct step *s, PyObject **ret)
{
    struct channel *c = s->channel;
    if (s->kind == STEP_RECEIVE)
        return c->ops->receive(c, ret);
    enum channel_result r = c->ops->sent(c);
    if (r == CHANNEL_DONE)
        *ret = Py_NewRef(Py_None);
    return r;
}

/* Before anything is taken: a checkpoint may be where it is cancelled. */
static int step_checkpoint(struct step *s)
{
    s->at_checkpoint = false;
    PyObject *awaitable = pyloop_checkpoint(s->asgi->env.loop);
    s->waiting = awaitable ? coro_awaitable_iterator(awaitable) : NULL;
    Py_XDECREF(awaitable);
    return s->waiting ? 0 : -1;
}

static PySendResult step_run(struct step *s, PyObject *arg, PyObject **ret)
{
    bool turns = s->kind == STEP_TURN;
    if (turns)
        s->kind = STEP_SENT;
    if (unlikely(s->at_checkpoint)) {
        if (step_checkpoint(s) < 0)
            return PYGEN_ERROR;
    } else if (turns) {
        *ret = Py_NewRef(Py_None);
        return PYGEN_NEXT;
    }
    for (;;) {
        if (s->waiting) {
            PySendResult r = PyIter_Send(s->waiting, arg, ret);
            if (r != PYGEN_RETURN)
                return r;
            Py_CLEAR(*ret);
            Py_CLEAR(s->waiting);
        }
        unsigned wakes = s->channel->wakes;
        enum channel_result r = s->kind == STEP_PASS ? CHANNEL_TURN : step_ask(s, ret);
        if (r == CHANNEL_DONE)
            return PYGEN_RETURN;
        if (r == CHANNEL_TURN) {
            *ret = Py_NewRef(Py_None);
            return PYGEN_RETURN;
        }
        if (r == CHANNEL_ERROR || step_wait(s, wakes) < 0)
            return PYGEN_ERROR;
        arg = Py_None;
    }
}

static bool is_elsewhere(const struct asgi *asgi)
{
    return unlikely(!pthread_equal(pthread_self(), asgi->thread));
}

/* Why it cannot be stepped now: false, or true with an exception set. */
static bool step_refuses(const struct step *s)
{
    if (is_elsewhere(s->asgi))
        PyErr_SetString(
            PyExc_RuntimeError,
            "this receive() or send() was called in the thread of the server's event loop and can be awaited "
            "only there: call it in the thread that awaits it, or use asyncio.run_coroutine_threadsafe()");
    else if (s->state == STEP_RUNNING)
        PyErr_SetString(PyExc_ValueError, "receive() or send() is being awaited already");
    else if (s->state == STEP_ENDED)
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited receive() or send()");
    else
        return false;
    return true;
}

static PySendResult step_send(PyObject *o, PyObject *arg, PyObject **ret)
{
    struct step *s = (struct step *)o;
    *ret = NULL;
    if (fork_child_refuse(OURS) < 0 || step_refuses(s))
        return PYGEN_ERROR;
    step_set_state(s, STEP_RUNNING);
    pyloop_touched(s->asgi->env.loop); /* a body that is taken lets the connection be read again */
    PySendResult r = step_run(s, arg, ret);
    if (r == PYGEN_NEXT)
        step_set_state(s, STEP_READY);
    else
        step_end(s);
    return r;
}

static PyObject *step_method_send(PyObject *o, PyObject *arg)
{
    PyObject *value;
    PySendResult r = step_send(o, arg, &value);
    if (r == PYGEN_NEXT)
        return value;
    if (r == PYGEN_RETURN) {
        coro_stop(value);
        Py_DECREF(value);
    }
    return NULL;
}

static PyObject *step_next(PyObject *o)
{
    return step_method_send(o, Py_None);
}

/* Both in any thread; not while it runs, under what a finalizer or another thread does. */
static bool step_can_end(const struct step *s)
{
    if (s->state != STEP_RUNNING)
        return true;
    PyErr_SetString(PyExc_ValueError, "receive() or send() is being awaited already");
    return false;
}

/* The waiting ends with the exception. */
static PyObject *step_throw(PyObject *o, PyObject *const *args, Py_ssize_t n)
{
    PyObject *exception = coro_throw_argument(args, n);
    if (exception && step_can_end((struct step *)o)) {
        step_end((struct step *)o);
        coro_raise(exception);
    }
    Py_XDECREF(exception);
    return NULL;
}

static PyObject *step_close(PyObject *o, PyObject *unused)
{
    if (!step_can_end((struct step *)o))
        return NULL;
    step_end((struct step *)o);
    Py_RETURN_NONE;
}

static PyObject *step_self(PyObject *o)
{
    return Py_NewRef(o);
}

static PyMethodDef step_methods[] = {
    { "send", step_method_send, METH_O, NULL },
    { "throw", (PyCFunction)(void (*)(void))step_throw, METH_FASTCALL, NULL },
    { "close", step_close, METH_NOARGS, NULL },
    { 0 },
};

static PyType_Slot step_slots[] = {
    { Py_tp_dealloc, step_dealloc },
    { Py_am_await, step_self },
    { Py_am_send, step_send },
    { Py_tp_iter, step_self },
    { Py_tp_iternext, step_next },
    { Py_tp_methods, step_methods },
    { 0 },
};

static PyType_Spec step_spec = {
    .name = "tine.ChannelAwaitable",
    .basicsize = sizeof(struct step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = step_slots,
};

/* --- receive and send --- */

struct callable {
    PyObject_HEAD vectorcallfunc call;
    struct channel *channel;
};

static PyObject *receive_call(PyObject *o, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (fork_child_refuse(OURS) < 0)
        return NULL;
    if (PyVectorcall_NARGS(nargsf) || (kwnames && PyTuple_GET_SIZE(kwnames))) {
        PyErr_SetString(PyExc_TypeError, "receive() takes no arguments");
        return NULL;
    }
    struct channel *c = ((struct callable *)o)->channel;
    if (is_elsewhere(c->asgi))
        return pyloop_hand_over(c->asgi->env.loop, o, NULL);
    return step_new(c, STEP_RECEIVE);
}

/* What went wrong is raised when the result is awaited, as from a coroutine function. */
static PyObject *raise_later(struct asgi *asgi)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *awaitable = value ? awaitable_raise(asgi->awaitables, value) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return awaitable;
}

static PyObject *send_message(struct channel *c, PyObject *message)
{
    struct asgi *asgi = c->asgi;
    PyObject *type = PyDict_GetItemWithError(message, asgi->names.type);
    if (!type || !PyUnicode_Check(type)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "send() takes a dict whose \"type\" is a str");
        return raise_later(asgi);
    }
    switch (c->ops->send(c, type, message)) {
    case CHANNEL_DONE:
        return unlikely(asgi->has_checkpoints) ? step_new(c, STEP_PASS) : awaitable_none(asgi->awaitables);
    case CHANNEL_WAIT:
        return step_new(c, STEP_SENT);
    case CHANNEL_TURN:
        return step_new(c, STEP_TURN);
    case CHANNEL_ERROR:
        break;
    }
    return raise_later(asgi);
}

/* A message that is no dict, but can be read like one, as every other server reads it. */
static PyObject *send_mapping(struct channel *c, PyObject *message)
{
    PyObject *dict = PyObject_HasAttrString(message, "keys") ? PyDict_New() : NULL;
    PyObject *sent = NULL;
    if (!dict && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "send() takes a dict whose \"type\" is a str");
    if (!dict || PyDict_Update(dict, message) < 0)
        sent = raise_later(c->asgi);
    else
        sent = send_message(c, dict);
    Py_XDECREF(dict);
    return sent;
}

static PyObject *send_call(PyObject *o, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    struct channel *c = ((struct callable *)o)->channel;
    struct asgi *asgi = c->asgi;
    if (fork_child_refuse(OURS) < 0)
        return NULL;
    if (PyVectorcall_NARGS(nargsf) != 1 || (kwnames && PyTuple_GET_SIZE(kwnames))) {
        PyErr_SetString(PyExc_TypeError, "send() takes one argument, a message");
        return NULL;
    }
    if (is_elsewhere(asgi))
        return pyloop_hand_over(asgi->env.loop, o, args[0]);
    pyloop_touched(asgi->env.loop);
    return likely(PyDict_Check(args[0])) ? send_message(c, args[0]) : send_mapping(c, args[0]);
}

static PyObject *callable_new(struct channel *c, struct free_list *list, PyTypeObject *type, vectorcallfunc call)
{
    struct callable *o = (struct callable *)free_list_new(list, type);
    if (!o)
        return NULL;
    o->call = call;
    o->channel = (struct channel *)Py_NewRef((PyObject *)c);
    return (PyObject *)o;
}

PyObject *channel_receive_new(struct channel *c)
{
    return callable_new(c, &c->asgi->receives, c->asgi->receive_type, receive_call);
}

PyObject *channel_send_new(struct channel *c)
{
    return callable_new(c, &c->asgi->sends, c->asgi->send_type, send_call);
}

static void callable_dealloc(PyObject *o)
{
    struct callable *callable = (struct callable *)o;
    struct channel *c = callable->channel;
    struct asgi *asgi = c->asgi;
    free_list_put(Py_TYPE(o) == asgi->send_type ? &asgi->sends : &asgi->receives, o);
    Py_DECREF((PyObject *)c);
}

static PyMemberDef callable_members[] = {
    { "__vectorcalloffset__", T_PYSSIZET, offsetof(struct callable, call), READONLY, NULL },
    { 0 },
};

static PyType_Slot callable_slots[] = {
    { Py_tp_dealloc, callable_dealloc },
    { Py_tp_call, PyVectorcall_Call },
    { Py_tp_members, callable_members },
    { 0 },
};

#define CALLABLE_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_HAVE_VECTORCALL)

static PyType_Spec receive_spec = { "tine.receive", sizeof(struct callable), 0, CALLABLE_FLAGS, callable_slots };
static PyType_Spec send_spec = { "tine.send", sizeof(struct callable), 0, CALLABLE_FLAGS, callable_slots };

/* --- types --- */

static PyTypeObject *type_new(PyType_Spec *spec)
{
    return (PyTypeObject *)PyType_FromSpec(spec);
}

int channel_types_init(struct asgi *asgi)
{
    asgi->step_type = type_new(&step_spec);
    asgi->receive_type = type_new(&receive_spec);
    asgi->send_type = type_new(&send_spec);
    if (!asgi->step_type || !asgi->receive_type || !asgi->send_type)
        return -1;
    if (coro_register(asgi->step_type) < 0 || coro_mark_function(asgi->receive_type) < 0)
        return -1;
    return coro_mark_function(asgi->send_type);
}
