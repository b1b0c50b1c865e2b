/* SPDX-License-Identifier: BSD-3-Clause */
/* pyerr.c: exceptions as text. Must work for every exception, whatever its __str__ does, and never
 * raise itself. */
#include "worker/python/pyerr.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/fatal.h"

enum { MAX_EXCEPTIONS = 100 }; /* looked at in one tree of causes, contexts and groups */

PyObject *pyerr_take(void)
{
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    fatal_unless(type);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback)
        PyException_SetTraceback(exception, traceback);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return exception;
}

static char *copy(const char *text)
{
    char *s = strdup(text);
    fatal_unless(s);
    return s;
}

/* NULL with an exception set on failure. Lone surrogates, which a traceback may quote, are escaped.
 */
static char *utf8(PyObject *text)
{
    PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    char *s = bytes ? copy(PyBytes_AS_STRING(bytes)) : NULL;
    Py_XDECREF(bytes);
    return s;
}

/* The file of a traceback's first frame; NULL with or without an exception set. */
static char *file_of(PyObject *traceback)
{
    PyObject *frame = PyObject_GetAttrString(traceback, "tb_frame");
    PyObject *code = frame ? PyObject_GetAttrString(frame, "f_code") : NULL;
    PyObject *file = code ? PyObject_GetAttrString(code, "co_filename") : NULL;
    char *s = file && PyUnicode_Check(file) ? utf8(file) : NULL;
    Py_XDECREF(file);
    Py_XDECREF(code);
    Py_XDECREF(frame);
    return s;
}

static bool is_own(const char *file)
{
    return strncmp(file, "<tine ", 6) == 0 || strncmp(file, "<_tine_", 7) == 0;
}

static bool is_loader(const char *file)
{
    const char *end = strstr(file, "/importlib/__init__.py");
    return is_own(file) || strncmp(file, "<frozen importlib.", 18) == 0 || (end && !end[22]);
}

/* The traceback without the frames in front by which our loader has got to the application: they help nobody. New
 * reference; None if nothing is left, or there is none. */
static PyObject *without_loader(PyObject *exception)
{
    PyObject *tb = PyException_GetTraceback(exception);
    bool own = false;
    while (tb && tb != Py_None) {
        char *file = file_of(tb);
        bool skip = file && (own ? is_loader(file) : is_own(file));
        own = own || skip;
        free(file);
        if (!skip)
            return tb;
        PyObject *next = PyObject_GetAttrString(tb, "tb_next");
        Py_SETREF(tb, next);
    }
    PyErr_Clear();
    return tb ? tb : Py_NewRef(Py_None);
}

static char *format_by_traceback(PyObject *exception)
{
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *tb = without_loader(exception);
    PyObject *lines =
        module ? PyObject_CallMethod(module, "format_exception", "OOO", Py_TYPE(exception), exception, tb) : NULL;
    Py_DECREF(tb);
    PyObject *empty = lines ? PyUnicode_FromString("") : NULL;
    PyObject *text = empty ? PyUnicode_Join(empty, lines) : NULL;
    char *s = text ? utf8(text) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    Py_XDECREF(module);
    return s;
}

static char *format_plainly(PyObject *exception)
{
    PyObject *text = PyUnicode_FromFormat("%s: %S\n", Py_TYPE(exception)->tp_name, exception);
    char *s = text ? utf8(text) : NULL;
    Py_XDECREF(text);
    return s;
}

char *pyerr_format(PyObject *exception)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    char *s = format_by_traceback(exception);
    PyErr_Clear();
    if (!s)
        s = format_plainly(exception);
    PyErr_Clear();
    if (!s)
        s = copy(Py_TYPE(exception)->tp_name);
    PyErr_Restore(type, value, traceback);
    return s;
}

void pyerr_log_exception(enum log_level level, const char *first, PyObject *exception)
{
    char *text = pyerr_format(exception);
    log_block(level, first, text, strlen(text));
    free(text);
}

static int tell_logging(const char *first, PyObject *exception)
{
    PyObject *logging = PyImport_ImportModule("logging");
    PyObject *logger = logging ? PyObject_CallMethod(logging, "getLogger", "s", "tine.error") : NULL;
    PyObject *wanted = logger ? PyObject_CallMethod(logger, "hasHandlers", NULL) : NULL;
    PyObject *error = wanted == Py_True ? PyObject_GetAttrString(logger, "error") : NULL;
    PyObject *text = error ? PyUnicode_DecodeUTF8(first, (Py_ssize_t)strlen(first), "backslashreplace") : NULL;
    PyObject *args = text ? Py_BuildValue("(sO)", "%s", text) : NULL;
    PyObject *kwargs = args ? Py_BuildValue("{s:O}", "exc_info", exception) : NULL;
    PyObject *done = kwargs ? PyObject_Call(error, args, kwargs) : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(text);
    Py_XDECREF(error);
    Py_XDECREF(logger);
    Py_XDECREF(logging);
    Py_XDECREF(done);
    Py_XDECREF(wanted);
    return done || wanted == Py_False ? 0 : -1;
}

void pyerr_log_unhandled(const char *first, PyObject *exception)
{
    pyerr_log_exception(LOG_LEVEL_ERROR, first, exception);
    if (tell_logging(first, exception) < 0)
        PyErr_Clear();
}

void pyerr_log(enum log_level level, const char *first)
{
    PyObject *exception = pyerr_take();
    pyerr_log_exception(level, first, exception);
    Py_DECREF(exception);
}

/* What extension modules and CPython say when they refuse a sub-interpreter. */
static bool says_refusal(const char *text)
{
    static const char *const texts[] = {
        "does not support loading in subinterpreters",
        "PyO3 modules do not yet support subinterpreters",
        "PyO3 modules may only be initialized once per interpreter process",
        "cannot load module more than once per process",
        "CPU dispatcher tracer already init", /* numpy 2.2 where CPython loads it in the main interpreter first */
        "signal only works in main thread of the main interpreter",
        "set_wakeup_fd only works in main thread of the main interpreter",
        "fork not supported for isolated subinterpreters",
        "does not work in a sub-interpreter of tine",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strstr(text, texts[i]))
            return true;
    return false;
}

static char *string_or_null(PyObject *text)
{
    char *s = text && PyUnicode_Check(text) && PyUnicode_GET_LENGTH(text) > 0 ? utf8(text) : NULL;
    Py_XDECREF(text);
    PyErr_Clear();
    return s;
}

/* "module numpy.core._multiarray_umath does not support loading in subinterpreters" */
static char *module_in_text(const char *text)
{
    const char *name = !strncmp(text, "module ", 7) ? text + 7 : NULL;
    size_t n = name ? strcspn(name, " ") : 0;
    return n > 0 ? strndup(name, n) : NULL;
}

static bool is_import_machinery(const char *name)
{
    return !strncmp(name, "importlib.", 10) || !strncmp(name, "_frozen_importlib", 17);
}

/* The module whose code was running innermost: the one that imported what refused, or that called
 * what was refused. */
static char *module_of_traceback(PyObject *exception)
{
    char *found = NULL;
    PyObject *tb = PyException_GetTraceback(exception);
    for (PyObject *next; tb && tb != Py_None; tb = next) {
        PyObject *frame = PyObject_GetAttrString(tb, "tb_frame");
        PyObject *globals = frame ? PyObject_GetAttrString(frame, "f_globals") : NULL;
        PyObject *name = globals ? PyMapping_GetItemString(globals, "__name__") : NULL;
        char *s = string_or_null(name);
        if (s && !is_import_machinery(s) && strncmp(s, "_tine", 5) != 0) {
            free(found);
            found = s;
        } else {
            free(s);
        }
        Py_XDECREF(globals);
        Py_XDECREF(frame);
        next = PyObject_GetAttrString(tb, "tb_next");
        PyErr_Clear();
        Py_DECREF(tb);
    }
    Py_XDECREF(tb);
    return found;
}

static char *module_that_refused(PyObject *exception, const char *text)
{
    char *name = module_in_text(text);
    if (!name && PyObject_HasAttrString(exception, "name"))
        name = string_or_null(PyObject_GetAttrString(exception, "name"));
    return name ? name : module_of_traceback(exception);
}

static bool refuses(PyObject *exception, char **ret_module)
{
    PyObject *str = PyObject_Str(exception);
    char *text = string_or_null(str);
    bool yes = text && says_refusal(text);
    if (yes)
        *ret_module = module_that_refused(exception, text);
    free(text);
    PyErr_Clear();
    return yes;
}

/* Appends what led to the exception, or what a group holds. Exceptions are not set on failure: what
 * cannot be looked at says nothing. */
static void append_relatives(PyObject *list, PyObject *exception)
{
    PyObject *relatives[] = { PyException_GetCause(exception), PyException_GetContext(exception) };
    for (int i = 0; i < 2; i++) {
        if (relatives[i] && PySequence_Contains(list, relatives[i]) == 0)
            PyList_Append(list, relatives[i]);
        Py_XDECREF(relatives[i]);
    }
    PyObject *members =
        PyObject_HasAttrString(exception, "exceptions") ? PyObject_GetAttrString(exception, "exceptions") : NULL;
    if (members && PyTuple_Check(members))
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(members); i++)
            if (PyExceptionInstance_Check(PyTuple_GET_ITEM(members, i)))
                PyList_Append(list, PyTuple_GET_ITEM(members, i));
    Py_XDECREF(members);
    PyErr_Clear();
}

bool pyerr_refuses_subinterpreter(PyObject *exception, char **ret_module)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    bool yes = false;
    *ret_module = NULL;
    PyObject *list = PyList_New(0);
    if (list && !PyList_Append(list, exception))
        for (Py_ssize_t i = 0; !yes && i < PyList_GET_SIZE(list) && i < MAX_EXCEPTIONS; i++) {
            PyObject *e = Py_NewRef(PyList_GET_ITEM(list, i));
            yes = refuses(e, ret_module);
            append_relatives(list, e);
            Py_DECREF(e);
        }
    Py_XDECREF(list);
    PyErr_Restore(type, value, traceback);
    return yes;
}
