/* SPDX-License-Identifier: BSD-3-Clause */
/* refusal.c: see refusal.h. Each late refusal is kept in struct interp, where the worker looks once a second: it may come
 * from any thread. */
#include "worker/python/refusal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "worker/python/interp.h"
#include "worker/python/pystate.h"
#include "worker/python/refusal_py.h"

#define MODULE "_tine_refusal"

/* Takes `text`, which may be NULL. */
static void keep_first(struct interp *interp, char *text)
{
    char *none = NULL;
    if (!text || !atomic_compare_exchange_strong(&interp->refusal, &none, text))
        free(text);
}

void refusal_keep(struct interp *interp, const char *why)
{
    keep_first(interp, strdup(why));
}

const char *refusal_late(const struct interp *interp)
{
    return atomic_load(&interp->refusal);
}

/* tell(text), for refusal.py */
static PyObject *tell(PyObject *capsule, PyObject *text)
{
    struct interp *interp = PyCapsule_GetPointer(capsule, NULL);
    const char *s = interp ? PyUnicode_AsUTF8(text) : NULL;
    if (!s)
        return NULL;
    refusal_keep(interp, s);
    Py_RETURN_NONE;
}

static PyMethodDef tell_def = { "tell", tell, METH_O, NULL };

int refusal_watch(struct interp *interp)
{
    PyObject *module = pystate_run(MODULE, refusal_py);
    PyObject *capsule = module ? PyCapsule_New(interp, NULL, NULL) : NULL;
    PyObject *function = capsule ? PyCFunction_New(&tell_def, capsule) : NULL;
    PyObject *r = function ? PyObject_CallMethod(module, "watch", "O", function) : NULL;
    Py_XDECREF(r);
    Py_XDECREF(function);
    Py_XDECREF(capsule);
    Py_XDECREF(module);
    return r ? 0 : -1;
}

/* What a function of refusal.py says; NULL: None, or it failed. An exception that is set stays so. */
static char *ask(const char *function)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *module = PyImport_ImportModule(MODULE);
    PyObject *text = module ? PyObject_CallMethod(module, function, NULL) : NULL;
    const char *s = text && PyUnicode_Check(text) ? PyUnicode_AsUTF8(text) : NULL;
    char *copy = s ? strdup(s) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(module);
    PyErr_Restore(type, value, traceback); /* what went wrong here is forgotten */
    return copy;
}

char *refusal_so_far(void)
{
    return ask("so_far");
}

char *refusal_at_ready(void)
{
    return ask("at_ready");
}

void refusal_seen(struct interp *interp, PyObject *exception)
{
    if (!interp->sub || refusal_late(interp))
        return;
    PyObject *module = PyImport_ImportModule(MODULE);
    PyObject *r = module ? PyObject_CallMethod(module, "seen", "O", exception) : NULL;
    Py_XDECREF(r);
    Py_XDECREF(module);
    PyErr_Clear();
}
