/* SPDX-License-Identifier: BSD-3-Clause */
/* import_gunicorn.c: runs import_gunicorn.py, which runs a gunicorn.conf.py. For a process that does
 * nothing else: the file may do what it likes to its interpreter. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "common/fdutil.h"
#include "common/heritage.h"
#include "conf/conf.h"
#include "worker/app/import_gunicorn_py.h"
#include "worker/python/interp.h"
#include "worker/python/pyerr.h"

/* (bool, text) of main(); NULL: exception set. */
static PyObject *convert(const char *file)
{
    PyObject *dict = PyDict_New();
    PyObject *code = Py_CompileString(import_gunicorn_py, "<tine import_gunicorn>", Py_file_input);
    PyObject *done = NULL, *result = NULL;
    if (dict && code && PyDict_SetItemString(dict, "__builtins__", PyEval_GetBuiltins()) == 0)
        done = PyEval_EvalCode(code, dict, dict);
    PyObject *function = done ? PyDict_GetItemString(dict, "main") : NULL; /* borrowed */
    if (function)
        result = PyObject_CallFunction(function, "s", file);
    Py_XDECREF(done);
    Py_XDECREF(code);
    Py_XDECREF(dict);
    return result;
}

static int fail_with_exception(void)
{
    PyObject *exception = pyerr_take();
    char *text = pyerr_format(exception);
    fputs(text, stderr);
    free(text);
    Py_DECREF(exception);
    return -1;
}

static int write_result(PyObject *result, int out)
{
    int good;
    const char *text;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(result, "ps#", &good, &text, &n))
        return fail_with_exception();
    if (good)
        return fd_write_all(out, text, (size_t)n);
    fprintf(stderr, "tine: %s\n", text);
    return -1;
}

int worker_import_gunicorn(const char *file, int out)
{
    const struct conf_app conf = { 0 };
    struct interp interp;
    char *why = NULL;
    if (interp_start(&interp, &conf, true, &why) < 0) {
        fprintf(stderr, "tine: %s\n", why ? why : "cannot start Python");
        free(why);
        return -1;
    }
    PyObject *result = convert(file);
    int rc = result ? write_result(result, out) : fail_with_exception();
    Py_XDECREF(result);
    return rc;
}
