/* SPDX-License-Identifier: BSD-3-Clause */
/* task_current.c: asyncio.current_task() and asyncio.all_tasks() that know the request whose first step runs without a
 * Task: both make it one. They stand in asyncio's modules before the application is imported, so that
 * `from asyncio import current_task` gets them too. A reader of asyncio.tasks._current_tasks, which is private, sees
 * no Task in a first step until the application has called one of the functions. */
#include "worker/python/task_priv.h"

#include <string.h>

#include "worker/python/coro.h"
#include "worker/python/pyerr.h"

struct first_step *current_step(const struct current *c)
{
    return c->step && c->step->thread == PyThreadState_Get() ? c->step : NULL;
}

/* asyncio's current Task of the loop; new reference, NULL without an exception if there is none. */
static PyObject *current_get(struct current *c)
{
    PyObject *task;
    if (c->current_tasks)
        task = Py_XNewRef(PyDict_GetItemWithError(c->current_tasks, c->loop_object));
    else
        task = PyObject_CallOneArg(c->current_task, c->loop_object);
    if (task == Py_None)
        Py_CLEAR(task);
    return task;
}

bool current_is_set(struct current *c)
{
    PyObject *task = current_get(c);
    if (!task) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(task);
    return true;
}

static int switch_task(struct current *c, PyObject *function, PyObject *task)
{
    PyObject *args[] = { c->loop_object, task };
    PyObject *r = PyObject_Vectorcall(function, args, 2, NULL);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

int current_enter(struct current *c, PyObject *task)
{
    return switch_task(c, c->enter_task, task);
}

int current_leave(struct current *c, PyObject *task)
{
    return switch_task(c, c->leave_task, task);
}

/* What Python keeps in the thread's dictionary while a loop runs: on 3.11 an object made for that run, later the loop
 * itself. asyncio.get_running_loop() checks it with a getpid() on 3.11, which costs more than all the rest here. NULL if
 * it is kept elsewhere. Borrowed. */
static PyObject *running_mark(struct current *c)
{
    PyObject *thread = PyThreadState_GetDict();
    return thread ? PyDict_GetItemWithError(thread, c->running_key) : NULL;
}

/* 1, 0 (no loop, or another) or -1. The mark of a run is remembered, alive, so that another's cannot be taken for it. */
static int our_loop_runs(struct current *c)
{
    PyObject *mark = running_mark(c);
    if (mark && mark == c->running_mark)
        return 1;
    PyObject *loop = PyObject_CallNoArgs(c->get_running_loop);
    if (!loop)
        return -1;
    Py_DECREF(loop);
    if (loop != c->loop_object)
        return 0;
    Py_XSETREF(c->running_mark, Py_XNewRef(mark));
    return 1;
}

/* Whether f(loop=None), called with these, means our loop: 1, 0, or -1 with an exception set. */
static int means_our_loop(struct current *c, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    Py_ssize_t given = n + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
    if (given == 0 || (given == 1 && args[0] == Py_None))
        return our_loop_runs(c);
    return given == 1 && args[0] == c->loop_object;
}

static PyObject *our_current_task(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    struct current *c = (struct current *)self;
    PyObject *task;
    if (keywords) { /* asyncio's own function knows them */
        task = PyObject_Vectorcall(c->current_task, args, n, keywords);
        if (task != Py_None || !current_step(c))
            return task;
        Py_DECREF(task);
    }
    int ours = means_our_loop(c, args, n, keywords);
    if (ours < 0)
        return NULL;
    if (ours == 0)
        return PyObject_Vectorcall(c->current_task, args, n, keywords);
    task = current_get(c);
    if (task || PyErr_Occurred())
        return task;
    struct first_step *step = current_step(c);
    return Py_XNewRef(step ? lazy_task(step) : Py_None);
}

static PyObject *our_all_tasks(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    struct current *c = (struct current *)self;
    struct first_step *step = current_step(c);
    int ours = step ? means_our_loop(c, args, n, keywords) : 0;
    if (ours < 0 || (ours > 0 && !lazy_task(step)))
        return NULL;
    return PyObject_Vectorcall(c->all_tasks, args, n, keywords);
}

static PyMethodDef our_current_task_def = {
    "current_task",
    (PyCFunction)(void (*)(void))our_current_task,
    METH_FASTCALL | METH_KEYWORDS,
    "current_task($module, /, loop=None)\n--\n\nReturn a currently executed task.",
};

static PyMethodDef our_all_tasks_def = {
    "all_tasks",
    (PyCFunction)(void (*)(void))our_all_tasks,
    METH_FASTCALL | METH_KEYWORDS,
    "all_tasks($module, /, loop=None)\n--\n\nReturn a set of all tasks for the loop.",
};

/* In `namespace`, every name for `from` becomes one for `to`. */
static int replace_in(PyObject *namespace, PyObject *from, PyObject *to)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(namespace, &at, &key, &value)) {
        if (value != from)
            continue;
        /* The key exists, so the dictionary keeps its shape under the iteration. */
        if (PyDict_SetItem(namespace, key, to) < 0)
            return -1;
    }
    return 0;
}

static int replace_everywhere(PyObject *from, PyObject *to)
{
    PyObject *loaded = PySys_GetObject("modules"); /* borrowed */
    PyObject *modules = loaded ? PyMapping_Values(loaded) : NULL;
    if (!modules)
        return -1;
    int r = 0;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(modules); i++) {
        PyObject *module = PyList_GET_ITEM(modules, i);
        if (PyModule_Check(module))
            r = replace_in(PyModule_GetDict(module), from, to);
    }
    Py_DECREF(modules);
    return r;
}

static PyObject *make_function(struct current *c, PyMethodDef *def)
{
    PyObject *module_name = PyUnicode_FromString("asyncio.tasks");
    if (!module_name)
        return NULL;
    PyObject *function = PyCFunction_NewEx(def, (PyObject *)c, module_name);
    Py_DECREF(module_name);
    return function;
}

static int install(struct current *c)
{
    c->our_current_task = make_function(c, &our_current_task_def);
    c->our_all_tasks = make_function(c, &our_all_tasks_def);
    if (!c->our_current_task || !c->our_all_tasks)
        return -1;
    if (replace_everywhere(c->current_task, c->our_current_task) < 0)
        return -1;
    return replace_everywhere(c->all_tasks, c->our_all_tasks);
}

/* Functions of ours that an application keeps continue to work: they call asyncio's. */
static void uninstall(struct current *c)
{
    if ((c->our_current_task && replace_everywhere(c->our_current_task, c->current_task) < 0) ||
        (c->our_all_tasks && replace_everywhere(c->our_all_tasks, c->all_tasks) < 0))
        PyErr_WriteUnraisable(NULL);
    Py_CLEAR(c->our_current_task);
    Py_CLEAR(c->our_all_tasks);
}

/* ---- life */

static int current_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct current *c = (struct current *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(c->loop_object);
    Py_VISIT(c->enter_task);
    Py_VISIT(c->leave_task);
    Py_VISIT(c->get_running_loop);
    Py_VISIT(c->running_mark);
    Py_VISIT(c->current_tasks);
    Py_VISIT(c->current_task);
    Py_VISIT(c->all_tasks);
    Py_VISIT(c->our_current_task);
    Py_VISIT(c->our_all_tasks);
    return 0;
}

static int current_clear(PyObject *self)
{
    struct current *c = (struct current *)self;
    Py_CLEAR(c->loop_object);
    Py_CLEAR(c->enter_task);
    Py_CLEAR(c->leave_task);
    Py_CLEAR(c->get_running_loop);
    Py_CLEAR(c->running_key);
    Py_CLEAR(c->running_mark);
    Py_CLEAR(c->current_tasks);
    Py_CLEAR(c->current_task);
    Py_CLEAR(c->all_tasks);
    Py_CLEAR(c->our_current_task);
    Py_CLEAR(c->our_all_tasks);
    return 0;
}

static void current_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    current_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot current_slots[] = {
    { Py_tp_dealloc, current_dealloc },
    { Py_tp_traverse, current_traverse },
    { Py_tp_clear, current_clear },
    { 0, NULL },
};

static PyType_Spec current_spec = {
    .name = "_tine.CurrentTask",
    .basicsize = sizeof(struct current),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = current_slots,
};

/* Takes what it needs of asyncio.tasks; false: an exception is set. */
static bool find_asyncio(struct current *c, PyObject *module)
{
    c->enter_task = PyObject_GetAttrString(module, "_enter_task");
    c->leave_task = PyObject_GetAttrString(module, "_leave_task");
    c->current_task = PyObject_GetAttrString(module, "current_task");
    c->all_tasks = PyObject_GetAttrString(module, "all_tasks");
    PyObject *events = PyImport_ImportModule("asyncio.events");
    if (events)
        c->get_running_loop = PyObject_GetAttrString(events, "get_running_loop");
    Py_XDECREF(events);
    if (!c->enter_task || !c->leave_task || !c->current_task || !c->all_tasks || !c->get_running_loop)
        return false;
#if PY_VERSION_HEX < 0x030e0000
    c->current_tasks = PyObject_GetAttrString(module, "_current_tasks");
    if (c->current_tasks && !PyDict_Check(c->current_tasks))
        PyErr_SetString(PyExc_RuntimeError, "asyncio.tasks._current_tasks is not a dictionary");
    return c->current_tasks && PyDict_Check(c->current_tasks);
#else
    return true; /* the current Task is in the thread state */
#endif
}

static struct current *make(PyObject *loop_object, PyObject *module)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&current_spec);
    struct current *c = type ? PyObject_GC_New(struct current, type) : NULL;
    Py_XDECREF(type);
    if (!c)
        return NULL;
    memset((char *)c + sizeof c->ob_base, 0, sizeof *c - sizeof c->ob_base);
    PyObject_GC_Track(c);
    c->users = 1;
    c->loop_object = Py_NewRef(loop_object);
    c->running_key = PyUnicode_InternFromString("__asyncio_running_event_loop__");
    if (c->running_key && find_asyncio(c, module) && install(c) == 0)
        return c;
    PyObject *exception = pyerr_take();
    uninstall(c);
    Py_DECREF(c);
    coro_restore(exception);
    return NULL;
}

/* Ours, of this loop, if its function is what asyncio has in place; borrowed. */
static struct current *installed(PyObject *function, PyObject *loop_object)
{
    if (!PyCFunction_Check(function) || ((PyCFunctionObject *)function)->m_ml != &our_current_task_def)
        return NULL;
    struct current *c = (struct current *)PyCFunction_GET_SELF(function);
    return c && c->loop_object == loop_object ? c : NULL;
}

struct current *current_acquire(PyObject *loop_object)
{
    PyObject *module = PyImport_ImportModule("asyncio.tasks");
    PyObject *function = module ? PyObject_GetAttrString(module, "current_task") : NULL;
    struct current *c = function ? installed(function, loop_object) : NULL;
    if (c) {
        Py_INCREF(c);
        c->users++;
    } else if (function) {
        c = make(loop_object, module);
    }
    Py_XDECREF(function);
    Py_XDECREF(module);
    return c;
}

void current_release(struct current *c)
{
    if (!c)
        return;
    if (--c->users == 0)
        uninstall(c);
    Py_DECREF(c);
}
