/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_task.c: loop.create_task() where asyncio's own would only call asyncio.tasks.Task. With a task factory, in debug
 * mode (it shortens the Task's stack) and with arguments that are not known here, asyncio's own is called. */
#include "worker/python/loop_priv.h"

/* asyncio.tasks.Task, as it is now: debuggers and nest_asyncio replace it. Borrowed; NULL: none. */
static PyObject *task_class(const struct pystate *st)
{
    return PyDict_GetItemWithError(st->tasks_dict, st->name_Task);
}

static bool is_plain(struct pyloop *loop, Py_ssize_t n, PyObject *kwnames)
{
    if (n != 1 || loop->debug || (loop->task_factory && loop->task_factory != Py_None))
        return false;
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (name != loop->st->name_name && name != loop->st->name_context)
            return false;
    }
    return true;
}

static PyObject *call_asyncio(struct pyloop *loop, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    PyObject *all[8];
    Py_ssize_t total = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (total >= (Py_ssize_t)(sizeof all / sizeof *all)) {
        PyErr_SetString(PyExc_TypeError, "create_task() got too many arguments");
        return NULL;
    }
    all[0] = (PyObject *)loop;
    for (Py_ssize_t i = 0; i < total; i++)
        all[i + 1] = args[i];
    return PyObject_Vectorcall(loop->st->create_task, all, (size_t)n + 1, kwnames);
}

PyObject *loop_create_task(struct pyloop *loop, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    PyObject *type = is_plain(loop, n, kwnames) ? task_class(loop->st) : NULL;
    if (!type)
        return PyErr_Occurred() ? NULL : call_asyncio(loop, args, n, kwnames);
    if (loop_check_closed(loop))
        return NULL;
    PyObject *name = NULL, *context = NULL;
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); i++)
        *(PyTuple_GET_ITEM(kwnames, i) == loop->st->name_name ? &name : &context) = args[1 + i];
    PyObject *all[] = { args[0], (PyObject *)loop, name ? name : Py_None, context ? context : Py_None };
    Py_INCREF(type);
    PyObject *task = PyObject_Vectorcall(type, all, 1, loop->st->task_kwnames);
    Py_DECREF(type);
    return task;
}
