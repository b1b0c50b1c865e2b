/* SPDX-License-Identifier: BSD-3-Clause */
/* import.c: runs the importers, import_*.py, of which some run a file of configuration. For a process that does nothing
 * else: the file may do what it likes to its interpreter. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/heritage.h"
#include "conf/conf.h"
#include "worker/app/import_granian_py.h"
#include "worker/app/import_gunicorn_py.h"
#include "worker/app/import_hypercorn_py.h"
#include "worker/app/import_ini_py.h"
#include "worker/app/import_main_py.h"
#include "worker/app/import_uvicorn_py.h"
#include "worker/app/import_uwsgi_py.h"
#include "worker/python/interp.h"
#include "worker/python/pyerr.h"

/* In this order: each imports only those before it, and all are found in sys.modules. */
static const struct {
    const char *name, *text;
} importers[] = {
    { "import_ini", import_ini_py },         { "import_gunicorn", import_gunicorn_py },
    { "import_uvicorn", import_uvicorn_py }, { "import_hypercorn", import_hypercorn_py },
    { "import_granian", import_granian_py }, { "import_uwsgi", import_uwsgi_py },
    { "import_main", import_main_py },
};

/* The last of the modules, import_main; NULL: exception set. */
static PyObject *load_importers(void)
{
    PyObject *module = NULL;
    for (size_t i = 0; i < sizeof(importers) / sizeof(importers[0]); i++) {
        PyObject *code = Py_CompileString(importers[i].text, "<tine import>", Py_file_input);
        Py_XDECREF(module);
        module = code ? PyImport_ExecCodeModule(importers[i].name, code) : NULL;
        Py_XDECREF(code);
        if (!module)
            return NULL;
    }
    return module;
}

/* The words in the file, each with its NUL, as a list; NULL: exception set. */
static PyObject *read_words(int fd)
{
    char piece[4096];
    ssize_t got;
    off_t at = 0;
    PyObject *list = NULL, *whole = NULL, *bytes = PyBytes_FromStringAndSize(NULL, 0);
    while (bytes && (got = pread(fd, piece, sizeof(piece), at)) > 0) {
        PyBytes_ConcatAndDel(&bytes, PyBytes_FromStringAndSize(piece, got));
        at += got;
    }
    if (bytes)
        whole = PyUnicode_DecodeFSDefaultAndSize(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes) - (at > 0));
    if (whole)
        list = PyObject_CallMethod(whole, "split", "s#", "\0", (Py_ssize_t)1);
    Py_XDECREF(whole);
    Py_XDECREF(bytes);
    return list;
}

/* (bool, text) of main(); NULL: exception set. */
static PyObject *convert(const char *server, int words)
{
    PyObject *module = load_importers(), *result = NULL;
    PyObject *list = module ? read_words(words) : NULL;
    if (list)
        result = PyObject_CallMethod(module, "main", "sO", server, list);
    Py_XDECREF(list);
    Py_XDECREF(module);
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

int worker_import(const char *server, int words, int out)
{
    const struct conf_app conf = { 0 };
    struct interp interp;
    char *why = NULL;
    if (interp_start(&interp, &conf, true, &why) < 0) {
        fprintf(stderr, "tine: %s\n", why ? why : "cannot start Python");
        free(why);
        return -1;
    }
    PyObject *result = convert(server, words);
    int rc = result ? write_result(result, out) : fail_with_exception();
    Py_XDECREF(result);
    return rc;
}
