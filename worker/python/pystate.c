/* SPDX-License-Identifier: BSD-3-Clause */
/* pystate.c: the built-in module `_tine`: made in phases, once for each interpreter that imports
 * it. Holds no logic. */
#include <config.h>

#include "worker/python/pystate.h"

#include <stdlib.h>
#include <string.h>
#include "common/forked.h"
#include "common/log.h"
#include "worker/python/loop_handle.h"
#include "worker/python/loop_life_py.h"
#include "worker/python/loop_priv.h"
#include "worker/python/loop_py.h"
#include "worker/python/datagram.h"
#include "worker/python/pipe.h"
#include "worker/python/sock_ops.h"
#include "worker/python/stream_priv.h"

static int state_visit(PyObject *module, visitproc visit, void *arg)
{
    struct pystate *st = PyModule_GetState(module);
    if (!st)
        return 0;
    Py_VISIT(st->handle_type);
    Py_VISIT(st->timer_type);
    Py_VISIT(st->shared_type);
    Py_VISIT(st->base_type);
    Py_VISIT(st->stream_type);
    Py_VISIT(st->write_queue_type);
    Py_VISIT(st->datagram_type);
    Py_VISIT(st->read_pipe_type);
    Py_VISIT(st->write_pipe_type);
    Py_VISIT(st->datagram_base);
    Py_VISIT(st->read_pipe_base);
    Py_VISIT(st->write_pipe_base);
    Py_VISIT(st->stream_base);
    Py_VISIT(st->buffered_protocol);
    Py_VISIT(st->socket_type);
    Py_VISIT(st->plain_socket_type);
    Py_VISIT(st->sock_wait_type);
    Py_VISIT(st->loop_class);
    Py_VISIT(st->loop_module);
    Py_VISIT(st->future_type);
    Py_VISIT(st->future_kwnames);
    Py_VISIT(st->tasks_dict);
    Py_VISIT(st->task_kwnames);
    Py_VISIT(st->create_task);
    return 0;
}

static int state_clear(PyObject *module)
{
    struct pystate *st = PyModule_GetState(module);
    if (!st)
        return 0;
    Py_CLEAR(st->handle_type);
    Py_CLEAR(st->timer_type);
    Py_CLEAR(st->shared_type);
    Py_CLEAR(st->base_type);
    Py_CLEAR(st->stream_type);
    Py_CLEAR(st->write_queue_type);
    Py_CLEAR(st->datagram_type);
    Py_CLEAR(st->read_pipe_type);
    Py_CLEAR(st->write_pipe_type);
    Py_CLEAR(st->datagram_base);
    Py_CLEAR(st->read_pipe_base);
    Py_CLEAR(st->write_pipe_base);
    Py_CLEAR(st->stream_base);
    Py_CLEAR(st->buffered_protocol);
    Py_CLEAR(st->socket_type);
    Py_CLEAR(st->plain_socket_type);
    Py_CLEAR(st->sock_wait_type);
    Py_CLEAR(st->loop_class);
    Py_CLEAR(st->loop_module);
    Py_CLEAR(st->future_type);
    Py_CLEAR(st->future_kwnames);
    Py_CLEAR(st->tasks_dict);
    Py_CLEAR(st->task_kwnames);
    Py_CLEAR(st->create_task);
#define X(name) Py_CLEAR(st->name_##name);
    PYSTATE_NAMES(X)
#undef X
    return 0;
}

static void state_free(void *module)
{
    struct pystate *st = PyModule_GetState(module);
    state_clear(module);
    if (st)
        PyMem_RawFree(st->read_scratch);
}

static int names_init(struct pystate *st)
{
#define X(name)                                                 \
    if (!(st->name_##name = PyUnicode_InternFromString(#name))) \
        return -1;
    PYSTATE_NAMES(X)
#undef X
    return 0;
}

static int future_init(struct pystate *st)
{
    PyObject *module = PyImport_ImportModule("asyncio.futures");
    if (!module)
        return -1;
    st->future_type = PyObject_GetAttrString(module, "Future");
    Py_DECREF(module);
    st->future_kwnames = PyTuple_Pack(1, st->name_loop);
    return st->future_type && st->future_kwnames ? 0 : -1;
}

static int task_init(struct pystate *st)
{
    PyObject *tasks = PyImport_ImportModule("asyncio.tasks");
    PyObject *events = PyImport_ImportModule("asyncio.base_events");
    PyObject *loop = events ? PyObject_GetAttrString(events, "BaseEventLoop") : NULL;
    st->create_task = loop ? PyObject_GetAttrString(loop, "create_task") : NULL;
    st->tasks_dict = tasks ? Py_NewRef(PyModule_GetDict(tasks)) : NULL;
    st->task_kwnames = PyTuple_Pack(3, st->name_loop, st->name_name, st->name_context);
    Py_XDECREF(loop);
    Py_XDECREF(events);
    Py_XDECREF(tasks);
    return st->create_task && st->tasks_dict && st->task_kwnames ? 0 : -1;
}

/* loop.py is run last: its class derives from LoopBase. */
static int module_exec(PyObject *module)
{
    struct pystate *st = PyModule_GetState(module);
    if (names_init(st) || future_init(st) || task_init(st) || loop_handle_init(module, st) ||
        loop_methods_init(module, st) || transport_init(st) || stream_type_init(module, st) ||
        datagram_type_init(module, st) || pipe_types_init(module, st) || sock_ops_init(module, st))
        return -1;
    if (PyModule_AddStringConstant(module, "version", PACKAGE_VERSION) || PyModule_AddType(module, st->handle_type) ||
        PyModule_AddType(module, st->timer_type) || PyModule_AddType(module, st->base_type) ||
        PyModule_AddType(module, st->stream_type) || PyModule_AddType(module, st->datagram_type) ||
        PyModule_AddType(module, st->read_pipe_type) || PyModule_AddType(module, st->write_pipe_type))
        return -1;
    return 0;
}

/* loop_life.py, which loop.py and hosts import. 0, or -1 with an exception set. */
static int life_init(void)
{
    PyObject *module = pystate_run("_tine_life", loop_life_py);
    Py_XDECREF(module);
    return module ? 0 : -1;
}

/* The Loop class, made at first use: loop.py imports `_tine`, which is complete only then. */
static int loop_class_init(struct pystate *st)
{
    if (st->loop_class)
        return 0;
    if (life_init() < 0)
        return -1;
    if (!st->loop_module && !(st->loop_module = pystate_run("_tine_loop", loop_py)))
        return -1;
    st->loop_class = PyObject_GetAttrString(st->loop_module, "Loop");
    return st->loop_class ? 0 : -1;
}

static PyObject *module_new_loop(PyObject *module, PyObject *unused)
{
    struct pystate *st = PyModule_GetState(module);
    if (loop_class_init(st))
        return NULL;
    return PyObject_CallNoArgs(st->loop_class);
}

/* Of Python's logging. */
static enum log_level level_of(int number)
{
    return number >= 50   ? LOG_LEVEL_CRITICAL
           : number >= 40 ? LOG_LEVEL_ERROR
           : number >= 30 ? LOG_LEVEL_WARNING
           : number >= 20 ? LOG_LEVEL_INFO
                          : LOG_LEVEL_DEBUG;
}

static PyObject *module_log(PyObject *module, PyObject *args)
{
    int number;
    const char *text;
    if (!PyArg_ParseTuple(args, "is:log", &number, &text))
        return NULL;
    size_t n = strcspn(text, "\n");
    char *first = strndup(text, n);
    if (!first)
        return PyErr_NoMemory();
    text += n + (text[n] == '\n');
    log_block(level_of(number), first, text, strlen(text));
    free(first);
    Py_RETURN_NONE;
}

static PyObject *module_log_level(PyObject *module, PyObject *unused)
{
    return PyLong_FromLong(10 + 10L * (long)log_level());
}

static const PyMethodDef module_methods[] = {
    { "log", module_log, METH_VARARGS,
      "log(level, text)\n--\n\nWrites a record to the error log; a level of logging." },
    { "log_level", module_log_level, METH_NOARGS, "log_level()\n--\n\nThe least level that the error log takes." },
    { "new_loop", module_new_loop, METH_NOARGS, "new_loop()\n--\n\nA new event loop with an event base of its own." },
    { 0 },
};

static const PyModuleDef_Slot module_slots[] = {
    { Py_mod_exec, module_exec },
#if PY_VERSION_HEX >= 0x030c0000
    { Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED },
#endif
    { 0 },
};

/* CPython writes into a definition (its index), hence not const. */
static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_tine",
    .m_doc = "The inside of the Tine server: its event loop.",
    .m_size = sizeof(struct pystate),
    .m_methods = (PyMethodDef *)module_methods,
    .m_slots = (PyModuleDef_Slot *)module_slots,
    .m_traverse = state_visit,
    .m_clear = state_clear,
    .m_free = state_free,
};

static PyObject *module_init(void)
{
    return PyModuleDef_Init(&module_def);
}

/* What cannot be watched is an exception for Python, and no line on the terminal. */
static void on_libevent_message(int severity, const char *text)
{
}

PyObject *pystate_alone(void)
{
    if (forked_watch() < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    event_set_log_callback(on_libevent_message);
    return module_init();
}

int pystate_register(void)
{
    return PyImport_AppendInittab("_tine", module_init);
}

int pystate_install(void)
{
    PyObject *machinery = PyImport_ImportModule("importlib.machinery");
    PyObject *spec = machinery ? PyObject_CallMethod(machinery, "ModuleSpec", "sO", "_tine", Py_None) : NULL;
    PyObject *module = spec ? PyModule_FromDefAndSpec(&module_def, spec) : NULL;
    int rc = module ? PyModule_ExecDef(module, &module_def) : -1;
    if (rc == 0)
        rc = PyDict_SetItemString(PyImport_GetModuleDict(), "_tine", module);
    Py_XDECREF(module);
    Py_XDECREF(spec);
    Py_XDECREF(machinery);
    return rc;
}

struct pystate *pystate_import(PyObject **ret_module)
{
    PyObject *module = PyImport_ImportModule("_tine");
    if (!module)
        return NULL;
    struct pystate *st = PyModule_GetState(module);
    if (loop_class_init(st)) {
        Py_DECREF(module);
        return NULL;
    }
    *ret_module = module;
    return st;
}

PyObject *pystate_run(const char *name, const char *source)
{
    char file[64];
    snprintf(file, sizeof file, "<tine %s>", name);
    PyObject *code = Py_CompileString(source, file, Py_file_input);
    if (!code)
        return NULL;
    PyObject *module = PyImport_ExecCodeModuleEx(name, code, file);
    Py_DECREF(code);
    return module;
}
