/* SPDX-License-Identifier: BSD-3-Clause */
/* native_threads.c: see native_threads.h. By PEP 523's function for frames, of the main interpreter alone: it costs nothing
 * in the application's. */
#include <Python.h>

#include "worker/python/native_threads.h"

#include <stdlib.h>
#include <string.h>

#include "worker/python/interp.h"
#include "worker/python/refusal.h"

#define KEY "tine.interp"
#define WHY "a thread that native code has made runs Python, which CPython does in the main interpreter"

static bool is_known(PyInterpreterState *interp, unsigned long thread)
{
    for (PyThreadState *t = PyInterpreterState_ThreadHead(interp); t; t = PyThreadState_Next(t))
        if (t->thread_id == thread)
            return true;
    return false;
}

/* Of the interpreter that the thread is in; NULL: not yet made. */
static struct interp *watched(PyThreadState *tstate)
{
    PyObject *dict = PyInterpreterState_GetDict(PyThreadState_GetInterpreter(tstate)); /* borrowed, as what is in it */
    PyObject *capsule = dict ? PyDict_GetItemString(dict, KEY) : NULL;
    return capsule ? PyCapsule_GetPointer(capsule, NULL) : NULL;
}

/* From 3.12 on CPython lends a thread of the sub-interpreter a state of the main one while it loads some modules. */
static PyObject *run_frame(PyThreadState *tstate, struct _PyInterpreterFrame *frame, int raises)
{
    struct interp *interp = watched(tstate);
    if (interp && interp->state && !refusal_late(interp) && !is_known(interp->state, tstate->thread_id))
        refusal_keep(interp, WHY);
    return _PyEval_EvalFrameDefault(tstate, frame, raises);
}

int native_threads_watch(struct interp *interp)
{
    PyInterpreterState *main = PyInterpreterState_Main();
    PyObject *dict = PyInterpreterState_GetDict(main);
    PyObject *capsule = dict ? PyCapsule_New(interp, NULL, NULL) : NULL;
    int rc = capsule ? PyDict_SetItemString(dict, KEY, capsule) : -1;
    Py_XDECREF(capsule);
    if (rc == 0)
        _PyInterpreterState_SetEvalFrameFunc(main, run_frame);
    else if (!PyErr_Occurred())
        PyErr_NoMemory();
    return rc;
}
