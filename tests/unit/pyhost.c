/* SPDX-License-Identifier: BSD-3-Clause */
/* pyhost.c: runs a Python script where an application runs: in an interpreter made by interp.c,
 * with the worker's event loop set and named `loop`; `pyloop` holds it for the module _tine_test.
 * What the tests under tests/python are run with.
 *
 *   pyhost [--main] script.py [argument...]
 */
#include <Python.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "conf/conf.h"
#include "tests/python/tine_test.h"
#include "worker/python/interp.h"
#include "worker/python/loop.h"
#include "worker/python/loops/loop_ops.h"
#include "worker/python/pyerr.h"
#include "worker/python/stacks.h"

static int usage(void)
{
    fputs("usage: pyhost [--main] script.py [argument...]\n", stderr);
    return 2;
}

/* Descriptors and signals that cannot be watched are errors for Python, not for the log. */
static void on_libevent_warning(int severity, const char *text)
{
}

static struct event_base *make_base(void)
{
    event_set_log_callback(on_libevent_warning);
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static int set_argv(char **args)
{
    PyObject *argv = PyList_New(0);
    for (; argv && *args; args++) {
        PyObject *item = PyUnicode_DecodeFSDefault(*args);
        if (!item || PyList_Append(argv, item))
            Py_CLEAR(argv);
        Py_XDECREF(item);
    }
    int result = argv ? PySys_SetObject("argv", argv) : -1;
    Py_XDECREF(argv);
    return result;
}

/* Like runpy, but __main__ has no __file__: multiprocessing's children would run it again. */
static int run_script(const char *path, struct pyloop *loop)
{
    PyObject *globals = PyModule_GetDict(PyImport_AddModule("__main__"));
    PyObject *pyloop = PyCapsule_New(loop, TINE_TEST_LOOP, NULL);
    PyObject *source = NULL, *code = NULL, *result = NULL;
    PyObject *io = PyImport_ImportModule("io");
    PyObject *file = io ? PyObject_CallMethod(io, "open_code", "s", path) : NULL;
    if (file)
        source = PyObject_CallMethod(file, "read", NULL);
    if (source)
        code = Py_CompileString(PyBytes_AsString(source), path, Py_file_input);
    if (code && pyloop && !PyDict_SetItemString(globals, "loop", pyloop_object(loop)) &&
        !PyDict_SetItemString(globals, "pyloop", pyloop))
        result = PyEval_EvalCode(code, globals, globals);
    Py_XDECREF(pyloop);
    Py_XDECREF(code);
    Py_XDECREF(source);
    Py_XDECREF(file);
    Py_XDECREF(io);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* The exit status that Python would end with. */
static int report(void)
{
    PyObject *exception = pyerr_take();
    int status = 1;
    if (PyErr_GivenExceptionMatches(exception, PyExc_SystemExit)) {
        PyObject *code = PyObject_GetAttrString(exception, "code");
        if (code && code == Py_None)
            status = 0;
        else if (code && PyLong_Check(code))
            status = (int)PyLong_AsLong(code);
        else if (code)
            PyObject_Print(code, stderr, Py_PRINT_RAW);
        Py_XDECREF(code);
    } else {
        char *text = pyerr_format(exception);
        fputs(text, stderr);
        free(text);
        char *module;
        if (pyerr_refuses_subinterpreter(exception, &module))
            fprintf(stderr, "refuses a sub-interpreter: %s\n", module ? module : "unknown");
        free(module);
    }
    Py_DECREF(exception);
    return status;
}

static int run(struct interp *interp, char **args)
{
    if (stacks_enable(STDERR_FILENO) || set_argv(args))
        return report();
    struct event_base *base = make_base();
    struct pyloop *loop = pyloop_new(interp, loop_ops_of(CONF_LOOP_TINE), NULL, base);
    if (!loop)
        return report();
    int status = run_script(args[0], loop) ? report() : 0;
    pyloop_free(loop, 5000);
    event_base_free(base);
    interp_stop(interp, 5000);
    return status;
}

int main(int argc, char **argv)
{
    bool main_interpreter = argc > 1 && !strcmp(argv[1], "--main");
    char **args = argv + 1 + main_interpreter;
    if (!*args)
        return usage();
    signal(SIGPIPE, SIG_IGN);
    if (PyImport_AppendInittab("_tine_test", PyInit__tine_test))
        return 1;
    if (log_open("-", LOG_LEVEL_INFO, false))
        return 1;
    char *path = getenv("PYHOST_PATH");
    struct conf_app conf = { .pythonpath = { .v = &path, .n = path ? 1 : 0 } };
    struct interp interp;
    char *why;
    if (interp_start(&interp, &conf, main_interpreter, &why)) {
        fprintf(stderr, "pyhost: %s\n", why ? why : "out of memory");
        return 1;
    }
    int status = run(&interp, args);
    fflush(NULL);
    _exit(status);
}
