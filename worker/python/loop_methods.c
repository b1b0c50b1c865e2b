/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_methods.c: LoopBase, the C half of class Loop (loop.py): the methods that every request calls.
 * In debug mode they check what asyncio checks, with asyncio's own code. */
#include <stdlib.h>
#include <Python.h>
#include <structmember.h>

#include "common/clock.h"
#include "common/likely.h"
#include "worker/python/loop_handle.h"
#include "worker/python/loop_priv.h"
#include "worker/python/step_watch.h"

static struct pyloop *loop_of(PyObject *self)
{
    return (struct pyloop *)self;
}

static int check_debug(struct pyloop *loop, PyObject *callback, PyObject *method, bool threadsafe)
{
    PyObject *self = (PyObject *)loop;
    PyObject *r = threadsafe ? Py_NewRef(Py_None) : PyObject_CallMethodNoArgs(self, loop->st->name__check_thread);
    if (!r)
        return -1;
    Py_DECREF(r);
    r = PyObject_CallMethodObjArgs(self, loop->st->name__check_callback, callback, method, NULL);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static inline int check_call(struct pyloop *loop, PyObject *callback, PyObject *method, bool threadsafe)
{
    if (loop_check_closed(loop))
        return -1;
    return loop->debug ? check_debug(loop, callback, method, threadsafe) : 0;
}

/* The only keyword is context. 0 with *ret_context borrowed or NULL, or -1. */
static int parse_context(struct pyloop *loop, PyObject *method, PyObject *const *args, Py_ssize_t n, Py_ssize_t least,
                         PyObject *kwnames, PyObject **ret_context)
{
    *ret_context = NULL;
    if (n < least) {
        PyErr_Format(PyExc_TypeError, "%U() missing required positional argument: '%s'", method,
                     n + 1 < least ? "when" : "callback");
        return -1;
    }
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (name != loop->st->name_context && PyUnicode_Compare(name, loop->st->name_context) != 0) {
            PyErr_Format(PyExc_TypeError, "%U() got an unexpected keyword argument '%U'", method, name);
            return -1;
        }
        *ret_context = args[n + i];
    }
    return 0;
}

/* What another thread schedules without call_soon_threadsafe(), a common mistake, is not left until something else wakes
 * the loop. */
static void scheduled(struct pyloop *loop)
{
    if (unlikely(loop_has_released(loop)))
        wake_loop(loop);
}

/* Takes `handle` (NULL: an exception is set), and returns it. */
static PyObject *queue(struct pyloop *loop, PyObject *handle)
{
    if (handle && ready_push(loop, Py_NewRef(handle)))
        Py_CLEAR(handle);
    else if (handle)
        scheduled(loop);
    return handle;
}

static PyObject *loop_call_soon(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct pyloop *loop = loop_of(self);
    PyObject *method = loop->st->name_call_soon, *context;
    if (parse_context(loop, method, args, n, 1, kwnames, &context) || check_call(loop, args[0], method, false))
        return NULL;
    if (unlikely(loop->capture_context) && context == loop->capture_context && n == 1 && !loop->captured) {
        loop->captured = Py_NewRef(args[0]);
        Py_RETURN_NONE;
    }
    return queue(loop, loop_handle_new(loop, NULL, args[0], args + 1, n - 1, context));
}

static PyObject *loop_call_soon_threadsafe(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct pyloop *loop = loop_of(self);
    PyObject *method = loop->st->name_call_soon_threadsafe, *context;
    if (parse_context(loop, method, args, n, 1, kwnames, &context) || check_call(loop, args[0], method, true))
        return NULL;
    return queue(loop, loop_handle_new_shared(loop, args[0], args + 1, n - 1, context));
}

static PyObject *call_at(struct pyloop *loop, PyObject *when, PyObject *const *args, Py_ssize_t n, PyObject *context)
{
    int64_t ns;
    if (timer_when(when, &ns))
        return NULL;
    PyObject *handle = loop_handle_new(loop, when, args[0], args + 1, n - 1, context);
    if (handle && timers_add(loop, handle, ns))
        Py_CLEAR(handle);
    else if (handle)
        scheduled(loop);
    return handle;
}

static double now(void)
{
    return (double)clock_ns() / 1e9;
}

static PyObject *loop_call_later(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct pyloop *loop = loop_of(self);
    PyObject *context;
    if (n >= 1 && args[0] == Py_None) {
        PyErr_SetString(PyExc_TypeError, "delay must not be None");
        return NULL;
    }
    if (parse_context(loop, loop->st->name_call_later, args, n, 2, kwnames, &context) ||
        check_call(loop, args[1], loop->st->name_call_at, false))
        return NULL;
    PyObject *time = PyFloat_FromDouble(now());
    PyObject *when = time ? PyNumber_Add(time, args[0]) : NULL;
    Py_XDECREF(time);
    if (!when)
        return NULL;
    PyObject *handle = call_at(loop, when, args + 1, n - 1, context);
    Py_DECREF(when);
    return handle;
}

static PyObject *loop_call_at(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct pyloop *loop = loop_of(self);
    PyObject *context;
    if (n >= 1 && args[0] == Py_None) {
        PyErr_SetString(PyExc_TypeError, "when cannot be None");
        return NULL;
    }
    if (parse_context(loop, loop->st->name_call_at, args, n, 2, kwnames, &context) ||
        check_call(loop, args[1], loop->st->name_call_at, false))
        return NULL;
    return call_at(loop, args[0], args + 1, n - 1, context);
}

static PyObject *loop_time(PyObject *self, PyObject *unused)
{
    return PyFloat_FromDouble(now());
}

static PyObject *loop_stop(PyObject *self, PyObject *unused)
{
    struct pyloop *loop = loop_of(self);
    if (loop->thread && loop->thread != PyThread_get_thread_ident()) {
        PyObject *stop = PyObject_GetAttrString(self, "stop");
        PyObject *r = stop ? PyObject_CallMethodOneArg(self, loop->st->name_call_soon_threadsafe, stop) : NULL;
        Py_XDECREF(stop);
        Py_XDECREF(r);
        return r ? Py_NewRef(Py_None) : NULL;
    }
    loop->stopping = 1;
    Py_RETURN_NONE;
}

static PyObject *loop_is_running(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(loop_of(self)->thread != 0 && loop_is_alive(loop_of(self)));
}

static PyObject *loop_is_closed(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(loop_of(self)->closed);
}

static PyObject *loop_get_debug(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(loop_of(self)->debug);
}

static PyObject *loop_create_future(PyObject *self, PyObject *unused)
{
    struct pystate *st = loop_of(self)->st;
    return PyObject_Vectorcall(st->future_type, &self, 0, st->future_kwnames);
}

static PyObject *loop_create_task_method(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return loop_create_task(loop_of(self), args, n, kwnames);
}

/* With a context, since Python 3.15. */
static PyObject *add_watch(PyObject *self, int kind, PyObject *method, PyObject *const *args, Py_ssize_t n,
                           PyObject *kwnames)
{
    PyObject *context;
    if (parse_context(loop_of(self), method, args, n, 0, kwnames, &context))
        return NULL;
    return loop_add_watch(loop_of(self), kind, args, n, context);
}

static PyObject *loop_add_reader(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return add_watch(self, WATCH_READ, loop_of(self)->st->name__add_reader, args, n, kwnames);
}

static PyObject *loop_add_writer(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return add_watch(self, WATCH_WRITE, loop_of(self)->st->name__add_writer, args, n, kwnames);
}

static PyObject *loop_remove_reader(PyObject *self, PyObject *file)
{
    return loop_remove_watch(loop_of(self), WATCH_READ, file);
}

static PyObject *loop_remove_writer(PyObject *self, PyObject *file)
{
    return loop_remove_watch(loop_of(self), WATCH_WRITE, file);
}

static PyObject *loop_add_signal_handler(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    return loop_add_signal(loop_of(self), args, n);
}

static PyObject *loop_remove_signal_handler(PyObject *self, PyObject *signal)
{
    return loop_remove_signal(loop_of(self), signal);
}

static PyObject *loop_get_watched(PyObject *self, PyObject *unused)
{
    return loop_watched(loop_of(self));
}

/* A handle made elsewhere, as asyncio's own _add_callback() takes it. */
static PyObject *loop_add_callback(PyObject *self, PyObject *handle)
{
    PyObject *cancelled = PyObject_GetAttr(handle, loop_of(self)->st->name__cancelled);
    int skip = cancelled ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    if (skip < 0 || (!skip && ready_push(loop_of(self), Py_NewRef(handle))))
        return NULL;
    scheduled(loop_of(self));
    Py_RETURN_NONE;
}

static PyObject *loop_run_once(PyObject *self, PyObject *unused)
{
    if (loop_check_thread(loop_of(self)) || loop_turn(loop_of(self)))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *loop_turn_method(PyObject *self, PyObject *unused)
{
    loop_turn_of_guest(loop_of(self));
    Py_RETURN_NONE;
}

/* For a host that steps what no turn sees: `what` as step_watch_name() has it. */
static PyObject *loop_step_begins(PyObject *self, PyObject *what)
{
    struct step_watch *watch = loop_of(self)->step_watch;
    const char *text = PyUnicode_AsUTF8(what);
    if (text && watch) {
        step_watch_begin(watch);
        snprintf(step_watch_name(watch), STEP_WHAT, "%s", text);
    }
    return text ? Py_NewRef(Py_None) : NULL;
}

static PyObject *loop_step_ends(PyObject *self, PyObject *unused)
{
    if (loop_of(self)->step_watch)
        step_watch_end(loop_of(self)->step_watch);
    Py_RETURN_NONE;
}

static PyObject *loop_check_home_method(PyObject *self, PyObject *unused)
{
    if (loop_check_home(loop_of(self)))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *loop_write_to_self(PyObject *self, PyObject *unused)
{
    wake_loop(loop_of(self));
    Py_RETURN_NONE;
}

static PyObject *loop_check_closed_method(PyObject *self, PyObject *unused)
{
    if (loop_check_closed(loop_of(self)))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *loop_nothing(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE;
}

static PyObject *loop_open(PyObject *self, PyObject *base)
{
    if (loop_open_base(loop_of(self), base))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *loop_release(PyObject *self, PyObject *unused)
{
    if (loop_of(self)->thread && !loop_is_dead(loop_of(self))) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
        return NULL;
    }
    loop_release_base(loop_of(self));
    Py_RETURN_NONE;
}

#define FAST(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL
#define FAST_KEYWORDS(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL | METH_KEYWORDS
static const PyMethodDef loop_methods[] = {
    { "call_soon", FAST_KEYWORDS(loop_call_soon), NULL },
    { "call_soon_threadsafe", FAST_KEYWORDS(loop_call_soon_threadsafe), NULL },
    { "call_later", FAST_KEYWORDS(loop_call_later), NULL },
    { "call_at", FAST_KEYWORDS(loop_call_at), NULL },
    { "time", loop_time, METH_NOARGS, NULL },
    { "stop", loop_stop, METH_NOARGS, NULL },
    { "is_running", loop_is_running, METH_NOARGS, NULL },
    { "is_closed", loop_is_closed, METH_NOARGS, NULL },
    { "get_debug", loop_get_debug, METH_NOARGS, NULL },
    { "create_future", loop_create_future, METH_NOARGS, NULL },
    { "create_task", FAST_KEYWORDS(loop_create_task_method),
      "create_task($self, coro, *, name=None, context=None)\n--\n\nA Task of the coroutine." },
    { "_add_reader", FAST_KEYWORDS(loop_add_reader), NULL },
    { "_add_writer", FAST_KEYWORDS(loop_add_writer), NULL },
    { "_remove_reader", loop_remove_reader, METH_O, NULL },
    { "_remove_writer", loop_remove_writer, METH_O, NULL },
    { "_add_signal", FAST(loop_add_signal_handler), NULL },
    { "_remove_signal", loop_remove_signal_handler, METH_O, NULL },
    { "_watched", loop_get_watched, METH_NOARGS, NULL },
    { "_add_callback", loop_add_callback, METH_O, NULL },
    { "_run_once", loop_run_once, METH_NOARGS, NULL },
    { "_turn", loop_turn_method, METH_NOARGS, "What the host of a guest calls." },
    { "_step_begins", loop_step_begins, METH_O, NULL },
    { "_step_ends", loop_step_ends, METH_NOARGS, NULL },
    { "_write_to_self", loop_write_to_self, METH_NOARGS, NULL },
    { "_check_closed", loop_check_closed_method, METH_NOARGS, NULL },
    { "_check_home", loop_check_home_method, METH_NOARGS, NULL },
    { "_make_self_pipe", loop_nothing, METH_NOARGS, NULL },
    { "_close_self_pipe", loop_nothing, METH_NOARGS, NULL },
    { "_open", loop_open, METH_O, "Attaches the loop to an event base, or to a new one if given None." },
    { "_release", loop_release, METH_NOARGS, "Drops all handles, events and descriptors." },
    { 0 },
};

static const PyMemberDef loop_members[] = {
    { "_closed", T_BOOL, offsetof(struct pyloop, closed), 0, NULL },
    { "_stopping", T_BOOL, offsetof(struct pyloop, stopping), 0, NULL },
    { "_task_factory", T_OBJECT, offsetof(struct pyloop, task_factory), 0, NULL },
    { 0 },
};

static PyObject *get_debug(PyObject *self, void *unused)
{
    return PyBool_FromLong(loop_of(self)->debug);
}

static int set_debug(PyObject *self, PyObject *value, void *unused)
{
    int debug = value ? PyObject_IsTrue(value) : 0;
    if (debug < 0)
        return -1;
    loop_of(self)->debug = debug;
    return 0;
}

static PyObject *get_thread(PyObject *self, void *unused)
{
    unsigned long thread = loop_of(self)->thread_shown;
    return thread ? PyLong_FromUnsignedLong(thread) : Py_NewRef(Py_None);
}

/* threading.get_ident(), which gevent replaces by the number of a greenlet: the thread itself is asked here. */
static int set_thread(PyObject *self, PyObject *value, void *unused)
{
    unsigned long thread = value && value != Py_None ? PyLong_AsUnsignedLong(value) : 0;
    if (PyErr_Occurred())
        return -1;
    loop_of(self)->thread_shown = thread;
    loop_of(self)->thread = thread ? PyThread_get_thread_ident() : 0;
    return 0;
}

static const PyGetSetDef loop_getset[] = {
    { "_debug", get_debug, set_debug, NULL, NULL },
    { "_thread_id", get_thread, set_thread, NULL, NULL },
    { 0 },
};

static void loop_dealloc(PyObject *self);

/* LoopBase itself, of which `type` is a subclass: the only class in a chain of bases that is deallocated here. */
static PyTypeObject *base_of(PyTypeObject *type)
{
    while (type->tp_dealloc != loop_dealloc)
        type = type->tp_base;
    return type;
}

static PyObject *loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *module = PyType_GetModule(base_of(type));
    struct pyloop *loop = module ? (struct pyloop *)type->tp_alloc(type, 0) : NULL;
    if (!loop)
        return NULL;
    loop->st = PyModule_GetState(module);
    loop->module = Py_NewRef(module);
    loop->timers.fd = loop->wake.fd = -1;
    return (PyObject *)loop;
}

static int loop_visit(PyObject *self, visitproc visit, void *arg)
{
    struct pyloop *loop = loop_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(loop->module);
    Py_VISIT(loop->task_factory);
    Py_VISIT(loop->set_running_loop);
    Py_VISIT(loop->captured);
    Py_VISIT(loop->forgiven);
    if (loop->guest) {
        Py_VISIT(loop->guest->host);
        Py_VISIT(loop->guest->asyncio);
        Py_VISIT(loop->guest->turn);
    }
    for (size_t i = 0; i < loop->ready.n; i++)
        Py_VISIT(loop->ready.ring[(loop->ready.head + i) & (loop->ready.cap - 1)]);
    for (size_t i = 0; i < loop->timers.n; i++)
        Py_VISIT(loop->timers.v[i].handle);
    return watches_visit(loop, visit, arg);
}

static int loop_clear(PyObject *self)
{
    struct pyloop *loop = loop_of(self);
    loop_release_base(loop);
    Py_CLEAR(loop->task_factory);
    Py_CLEAR(loop->set_running_loop);
    Py_CLEAR(loop->captured);
    Py_CLEAR(loop->forgiven);
    if (!loop_is_dead(loop)) /* there its base is the parent's */
        guest_free(loop->guest);
    loop->guest = NULL;
    return 0;
}

static void loop_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    loop_clear(self);
    free(loop_of(self)->together);
    Py_CLEAR(loop_of(self)->module);
    type->tp_free(self);
    Py_DECREF(type);
}

static const PyType_Slot loop_slots[] = {
    { Py_tp_new, loop_new },
    { Py_tp_dealloc, loop_dealloc },
    { Py_tp_traverse, loop_visit },
    { Py_tp_clear, loop_clear },
    { Py_tp_methods, (void *)loop_methods },
    { Py_tp_members, (void *)loop_members },
    { Py_tp_getset, (void *)loop_getset },
    { 0 },
};

int loop_methods_init(PyObject *module, struct pystate *st)
{
    PyType_Spec spec = {
        .name = "_tine.LoopBase",
        .basicsize = sizeof(struct pyloop),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
        .slots = (PyType_Slot *)loop_slots,
    };
    st->base_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return st->base_type ? 0 : -1;
}
