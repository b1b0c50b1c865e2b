/* SPDX-License-Identifier: BSD-3-Clause */
/* app_load.c: runs app_load.py in its own module and picks the interface. */
#include "worker/app/app_load.h"

#include <string.h>

#include "conf/conf.h"
#include "worker/app/app_load_py.h"
#include "worker/app/interface.h"
#include "worker/python/fork_child.h"

static const struct interface_ops *interface_named(const struct interface_choice *list, const char *name)
{
    for (; list->name; list++)
        if (!strcmp(list->name, name))
            return list->ops;
    return NULL;
}

static const char *interface_configured(const struct interface_choice *list, enum conf_interface which)
{
    for (; list->name; list++)
        if (list->conf == (int)which)
            return list->name;
    return NULL;
}

/* The interface for `object`; NULL: exception set. */
static const struct interface_ops *choose(const struct interface_choice *list, const struct conf_app *conf,
                                          PyObject *loader, PyObject *object)
{
    const struct interface_ops *ops = NULL;
    const char *name = interface_configured(list, conf->interface);
    PyObject *kind = name ? PyUnicode_FromString(name) : PyObject_CallMethod(loader, "detect", "O", object);
    fork_child_came_back(NULL, false);
    if (kind && PyUnicode_Check(kind)) {
        ops = interface_named(list, PyUnicode_AsUTF8(kind));
    } else if (kind) {
        PyErr_Format(PyExc_TypeError,
                     "%s, of type %s, looks like neither ASGI nor WSGI: an ASGI application is "
                     "called with scope, receive, send (ASGI 2: with scope), a WSGI application "
                     "with environ, start_response; a factory is named as %s(). If it is one of "
                     "them, say so: interface = asgi, asgi2 or wsgi",
                     conf->module, Py_TYPE(object)->tp_name, conf->module);
    }
    Py_XDECREF(kind);
    return ops;
}

static PyObject *loader_new(void)
{
    PyObject *code = Py_CompileString(app_load_py, "<tine app_load>", Py_file_input);
    PyObject *module = code ? PyModule_New("tine_app_load") : NULL;
    PyObject *dict = module ? PyModule_GetDict(module) : NULL;
    PyObject *done = NULL;
    if (dict && PyDict_SetItemString(dict, "__builtins__", PyEval_GetBuiltins()) == 0)
        done = PyEval_EvalCode(code, dict, dict);
    if (!done)
        Py_CLEAR(module);
    Py_XDECREF(done);
    Py_XDECREF(code);
    return module;
}

PyObject *app_load(const struct interface_choice *interfaces, const struct conf_app *conf,
                   const struct interface_ops **ret_interface)
{
    PyObject *loader = loader_new();
    PyObject *object = loader ? PyObject_CallMethod(loader, "load", "s", conf->module) : NULL;
    fork_child_came_back(NULL, false);
    const struct interface_ops *ops = object ? choose(interfaces, conf, loader, object) : NULL;
    Py_XDECREF(loader);
    if (!ops) {
        Py_XDECREF(object);
        return NULL;
    }
    *ret_interface = ops;
    return object;
}

int app_configure_logging(const char *path)
{
    PyObject *loader = loader_new();
    PyObject *name = loader ? PyUnicode_DecodeFSDefault(path) : NULL;
    PyObject *done = name ? PyObject_CallMethod(loader, "configure_logging", "O", name) : NULL;
    fork_child_came_back(NULL, false);
    Py_XDECREF(name);
    Py_XDECREF(loader);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyObject *app_import(const char *name)
{
    PyObject *loader = loader_new();
    PyObject *module = loader ? PyObject_CallMethod(loader, "_import", "s", name) : NULL;
    fork_child_came_back(NULL, false);
    Py_XDECREF(loader);
    return module;
}
