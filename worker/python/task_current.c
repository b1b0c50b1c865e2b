/* task_current.c: asyncio.current_task() and asyncio.all_tasks() that know the request whose first step runs without a
 * Task: both make it one. They stand in asyncio's modules before the application is imported, so that
 * `from asyncio import current_task` gets them too. A reader of asyncio.tasks._current_tasks, which is private, sees
 * no Task in a first step until somebody has called one of the functions. */
#include "worker/python/task_internal.h"

#include "worker/python/loop.h"

PyObject *current_get(struct pytasks *tasks)
{
    PyObject *task;
    if (tasks->current_tasks) {
        task = PyDict_GetItemWithError(tasks->current_tasks, tasks->loop_object);
        if (!task)
            return NULL;
        Py_INCREF(task);
    } else {
        task = PyObject_CallOneArg(tasks->current_task, tasks->loop_object);
    }
    if (task == Py_None)
        Py_CLEAR(task);
    return task;
}

bool current_is_set(struct pytasks *tasks)
{
    PyObject *task = current_get(tasks);
    if (!task) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(task);
    return true;
}

/* What Python keeps in the thread's dictionary while a loop runs: on 3.11 an object made for that run, later the loop
 * itself. asyncio.get_running_loop() checks it with a getpid() on 3.11, which costs more than all the rest here. NULL if
 * it is kept elsewhere. Borrowed. */
static PyObject *running_mark(struct pytasks *tasks)
{
    PyObject *thread = PyThreadState_GetDict();
    return thread ? PyDict_GetItemWithError(thread, tasks->running_key) : NULL;
}

/* 1, 0 (no loop, or another) or -1. The mark of a run is remembered, alive, so that another's cannot be taken for it. */
static int our_loop_runs(struct pytasks *tasks)
{
    PyObject *mark = running_mark(tasks);
    if (mark && mark == tasks->running_mark)
        return 1;
    PyObject *loop = PyObject_CallNoArgs(tasks->get_running_loop);
    if (!loop)
        return -1;
    Py_DECREF(loop);
    if (loop != tasks->loop_object)
        return 0;
    Py_XSETREF(tasks->running_mark, Py_XNewRef(mark));
    return 1;
}

/* Whether f(loop=None), called with these, means our loop: 1, 0, or -1 with an exception set. */
static int means_our_loop(struct pytasks *tasks, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    Py_ssize_t given = n + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
    if (given == 0 || (given == 1 && args[0] == Py_None))
        return our_loop_runs(tasks);
    return given == 1 && args[0] == tasks->loop_object;
}

/* Called with a keyword, or with what it will refuse, it is asyncio's own function that checks. */
static PyObject *our_current_task(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    struct pytasks *tasks = (struct pytasks *)self;
    if (keywords) {
        PyObject *task = PyObject_Vectorcall(tasks->current_task, args, n, keywords);
        if (task != Py_None || !lazy_here(tasks))
            return task;
        Py_DECREF(task);
    }
    int ours = means_our_loop(tasks, args, n, keywords);
    if (ours < 0)
        return NULL;
    if (ours == 0)
        return PyObject_Vectorcall(tasks->current_task, args, n, keywords);
    PyObject *task = current_get(tasks);
    if (task || PyErr_Occurred())
        return task;
    return Py_XNewRef(lazy_here(tasks) ? lazy_task(tasks, tasks->step) : Py_None);
}

static PyObject *our_all_tasks(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords)
{
    struct pytasks *tasks = (struct pytasks *)self;
    if (lazy_here(tasks)) {
        int ours = means_our_loop(tasks, args, n, keywords);
        if (ours < 0 || (ours > 0 && !lazy_task(tasks, tasks->step)))
            return NULL;
    }
    return PyObject_Vectorcall(tasks->all_tasks, args, n, keywords);
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

static PyObject *make_function(struct pytasks *tasks, PyMethodDef *def)
{
    PyObject *module_name = PyUnicode_FromString("asyncio.tasks");
    if (!module_name)
        return NULL;
    PyObject *function = PyCFunction_NewEx(def, (PyObject *)tasks, module_name);
    Py_DECREF(module_name);
    return function;
}

int current_install(struct pytasks *tasks)
{
    tasks->our_current_task = make_function(tasks, &our_current_task_def);
    tasks->our_all_tasks = make_function(tasks, &our_all_tasks_def);
    if (!tasks->our_current_task || !tasks->our_all_tasks)
        return -1;
    if (replace_everywhere(tasks->current_task, tasks->our_current_task) < 0)
        return -1;
    return replace_everywhere(tasks->all_tasks, tasks->our_all_tasks);
}

void current_uninstall(struct pytasks *tasks)
{
    if ((tasks->our_current_task && replace_everywhere(tasks->our_current_task, tasks->current_task) < 0) ||
        (tasks->our_all_tasks && replace_everywhere(tasks->our_all_tasks, tasks->all_tasks) < 0))
        PyErr_WriteUnraisable(NULL);
}
