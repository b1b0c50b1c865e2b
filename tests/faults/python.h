/* SPDX-License-Identifier: BSD-3-Clause */
/* python.h: included in front of every file above the event loop by a build with --enable-fault-injection: calls that
 * make or fill a Python object go by way of inject.c. Not in the loop itself: a callback that cannot be scheduled is
 * lost, there as in asyncio, and what waits for it waits for ever.
 */
#ifndef TINE_TESTS_FAULTS_PYTHON_H
#define TINE_TESTS_FAULTS_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyObject *fault_PyDict_New(void);
PyObject *fault_PyDict_Copy(PyObject *o);
PyObject *fault_PyList_New(Py_ssize_t n);
PyObject *fault_PyTuple_New(Py_ssize_t n);
PyObject *fault_PyBytes_FromString(const char *s);
PyObject *fault_PyBytes_FromStringAndSize(const char *s, Py_ssize_t n);
PyObject *fault_PyUnicode_FromString(const char *s);
PyObject *fault_PyUnicode_New(Py_ssize_t n, Py_UCS4 max);
PyObject *fault_PyLong_FromSsize_t(Py_ssize_t n);
PyObject *fault_PyLong_FromSize_t(size_t n);
PyObject *fault_PyContext_Copy(PyObject *o);
PyObject *fault__PyObject_New(PyTypeObject *t);
PyObject *fault__PyObject_GC_New(PyTypeObject *t);
PyObject *fault_PyCMethod_New(PyMethodDef *d, PyObject *self, PyObject *module, PyTypeObject *t);
PyObject *fault_PyObject_Vectorcall(PyObject *o, PyObject *const *v, size_t n, PyObject *names);
PyObject *fault_PyObject_CallOneArg(PyObject *o, PyObject *arg);
PyObject *fault_PyObject_CallNoArgs(PyObject *o);
int fault_PyDict_SetItem(PyObject *d, PyObject *k, PyObject *v);
int fault_PyList_Append(PyObject *l, PyObject *o);
PyObject *fault_PyUnicode_DecodeLatin1(const char *s, Py_ssize_t n, const char *e);
PyObject *fault_PyUnicode_DecodeUTF8(const char *s, Py_ssize_t n, const char *e);

#ifndef TINE_FAULTS_INJECT
#undef PyDict_New
#define PyDict_New fault_PyDict_New
#undef PyDict_Copy
#define PyDict_Copy fault_PyDict_Copy
#undef PyList_New
#define PyList_New fault_PyList_New
#undef PyTuple_New
#define PyTuple_New fault_PyTuple_New
#undef PyBytes_FromString
#define PyBytes_FromString fault_PyBytes_FromString
#undef PyBytes_FromStringAndSize
#define PyBytes_FromStringAndSize fault_PyBytes_FromStringAndSize
#undef PyUnicode_FromString
#define PyUnicode_FromString fault_PyUnicode_FromString
#undef PyUnicode_New
#define PyUnicode_New fault_PyUnicode_New
#undef PyLong_FromSsize_t
#define PyLong_FromSsize_t fault_PyLong_FromSsize_t
#undef PyLong_FromSize_t
#define PyLong_FromSize_t fault_PyLong_FromSize_t
#undef PyContext_Copy
#define PyContext_Copy fault_PyContext_Copy
#undef _PyObject_New
#define _PyObject_New fault__PyObject_New
#undef _PyObject_GC_New
#define _PyObject_GC_New fault__PyObject_GC_New
#undef PyCMethod_New
#define PyCMethod_New fault_PyCMethod_New
#undef PyObject_Vectorcall
#define PyObject_Vectorcall fault_PyObject_Vectorcall
#undef PyObject_CallOneArg
#define PyObject_CallOneArg fault_PyObject_CallOneArg
#undef PyObject_CallNoArgs
#define PyObject_CallNoArgs fault_PyObject_CallNoArgs
#undef PyDict_SetItem
#define PyDict_SetItem fault_PyDict_SetItem
#undef PyList_Append
#define PyList_Append fault_PyList_Append
#undef PyUnicode_DecodeLatin1
#define PyUnicode_DecodeLatin1 fault_PyUnicode_DecodeLatin1
#undef PyUnicode_DecodeUTF8
#define PyUnicode_DecodeUTF8 fault_PyUnicode_DecodeUTF8
#endif

#endif
