# SPDX-License-Identifier: BSD-3-Clause
"""Small extension modules in C, compiled by a test for the Python that will load them. Standard library and a compiler only."""

import functools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from lib.build import own_python

# name: what it does in a sub-interpreter
MODULES = {
    "picky": 'PyErr_SetString(PyExc_ImportError, "picky says no"); return -1;',
    "picky_broken": 'PyErr_SetString(PyExc_ImportError, "libgone.so: cannot open shared object file: No such file or directory"); return -1;',
    "picky_aborts": "abort();",
    "picky_waits": "for (;;) pause();",
}
HEAD = """
#include <Python.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
"""
MODULE = """
static int %(name)s_exec(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        %(action)s
    }
    return 0;
}
static PyModuleDef_Slot %(name)s_slots[] = { { Py_mod_exec, %(name)s_exec }, { 0 } };
static PyModuleDef %(name)s_def = { PyModuleDef_HEAD_INIT, .m_name = "%(name)s", .m_slots = %(name)s_slots };
PyMODINIT_FUNC PyInit_%(name)s(void);
PyMODINIT_FUNC PyInit_%(name)s(void)
{
    return PyModuleDef_Init(&%(name)s_def);
}
"""

# call(f): a thread that Python does not know calls f, and the caller waits for it.
NATIVE_THREAD = """
static void *run(void *f)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *r = PyObject_CallNoArgs(f);
    if (!r)
        PyErr_Clear();
    Py_XDECREF(r);
    PyGILState_Release(state);
    return NULL;
}
static PyObject *call(PyObject *module, PyObject *f)
{
    pthread_t thread;
    Py_BEGIN_ALLOW_THREADS
    if (pthread_create(&thread, NULL, run, f) == 0)
        pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = { { "call", call, METH_O, NULL }, { 0 } };
static PyModuleDef_Slot slots[] = { { 0 } };
static PyModuleDef def = { PyModuleDef_HEAD_INIT, .m_name = "native_thread", .m_methods = methods, .m_slots = slots };
PyMODINIT_FUNC PyInit_native_thread(void);
PyMODINIT_FUNC PyInit_native_thread(void)
{
    return PyModuleDef_Init(&def);
}
"""


@functools.cache
def includes(python):
    code = "import json, sysconfig; print(json.dumps(sorted({sysconfig.get_path('include'), sysconfig.get_path('platinclude')})))"
    shown = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return [f"-I{folder}" for folder in json.loads(shown.stdout)]


@functools.cache
def compiled(python):
    """All of them in one: what it is depends on the name of its file."""
    with tempfile.TemporaryDirectory(prefix="tine-extension-") as folder:
        source, library = Path(folder) / "all.c", Path(folder) / "all.so"
        source.write_text(HEAD + "".join(MODULE % {"name": name, "action": action} for name, action in MODULES.items()) + NATIVE_THREAD)
        command = [shutil.which("cc") or "gcc", "-shared", "-fPIC", *includes(python), "-o", library, source]
        subprocess.run(command, check=True, timeout=120)
        return library.read_bytes()


def put(folder, *names, python=None):
    """Puts these of MODULES, or native_thread, into the folder; they can be imported from there."""
    for name in names:
        (folder / f"{name}.so").write_bytes(compiled(python or own_python()))
