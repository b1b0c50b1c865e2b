/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_fields.c: see asgi_fields.h. An iterable of pairs is the application's code: it is walked before its fields are
 * looked at. Which bytes may stand in a field is resp.c's business. */
#include "worker/asgi/asgi_fields.h"

#include <stdbool.h>

#include "worker/http/resp.h"

int asgi_flag(PyObject *message, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(message, key);
    if (!value)
        return PyErr_Occurred() ? -1 : 0;
    Py_INCREF(value); /* its __bool__() may take it out of the message */
    int r = PyObject_IsTrue(value);
    Py_DECREF(value);
    return r;
}

/* name and value of one [name, value]: bytes both. */
static int pair_spans(PyObject *pair, struct resp_field *f)
{
    PyObject *name, *value;
    if (PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2) {
        name = PyTuple_GET_ITEM(pair, 0);
        value = PyTuple_GET_ITEM(pair, 1);
    } else if (PyList_CheckExact(pair) && PyList_GET_SIZE(pair) == 2) {
        name = PyList_GET_ITEM(pair, 0);
        value = PyList_GET_ITEM(pair, 1);
    } else {
        PyErr_SetString(PyExc_TypeError, "each header must be a [name, value] of two bytes objects");
        return -1;
    }
    if (!PyBytes_Check(name) || !PyBytes_Check(value)) {
        PyErr_Format(PyExc_TypeError, "header names and values must be bytes, not %s and %s", Py_TYPE(name)->tp_name,
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    f->name = (struct span){ PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name) };
    f->value = (struct span){ PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value) };
    return 0;
}

/* Turns what is neither tuple nor list (generators' items, namedtuples ...) into tuples that `keep`
 * holds. */
static int pairs_exact(PyObject *keep)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keep); i++) {
        PyObject *pair = PyList_GET_ITEM(keep, i);
        if (PyTuple_CheckExact(pair) || PyList_CheckExact(pair))
            continue;
        PyObject *tuple = PyBytes_Check(pair) || PyUnicode_Check(pair) ? NULL : PySequence_Tuple(pair);
        if (!tuple) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "each header must be a [name, value] of two bytes objects");
            return -1;
        }
        if (PyList_SetItem(keep, i, tuple) < 0)
            return -1;
    }
    return 0;
}

/* A list that is safe to walk: the application's own list or tuple when its items are exact, else a
 * copy. */
static PyObject *fields_list(PyObject *headers)
{
    bool plain = PyList_CheckExact(headers) || PyTuple_CheckExact(headers);
    for (Py_ssize_t i = 0; plain && i < PySequence_Fast_GET_SIZE(headers); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(headers, i);
        plain = PyTuple_CheckExact(pair) || PyList_CheckExact(pair);
    }
    if (plain)
        return Py_NewRef(headers);
    Py_INCREF(headers); /* its __iter__() may take it out of the message */
    PyObject *list = PySequence_List(headers);
    Py_DECREF(headers);
    if (list && pairs_exact(list) < 0)
        Py_CLEAR(list);
    return list;
}

int asgi_fields(PyObject *headers, struct resp_field *small, size_t small_n, struct resp_field **ret_fields,
                size_t *ret_n, PyObject **ret_keep)
{
    *ret_fields = small;
    *ret_n = 0;
    *ret_keep = NULL;
    if (!headers || headers == Py_None)
        return 0;
    PyObject *keep = fields_list(headers);
    if (!keep)
        return -1;
    size_t n = (size_t)PySequence_Fast_GET_SIZE(keep);
    struct resp_field *fields = small;
    if (n > small_n && !(fields = PyMem_New(struct resp_field, n))) {
        PyErr_NoMemory();
        goto fail;
    }
    for (size_t i = 0; i < n; i++)
        if (pair_spans(PySequence_Fast_GET_ITEM(keep, (Py_ssize_t)i), &fields[i]) < 0)
            goto fail_fields;
    *ret_fields = fields;
    *ret_n = n;
    *ret_keep = keep;
    return 0;
fail_fields:
    if (fields != small)
        PyMem_Free(fields);
fail:
    Py_DECREF(keep);
    return -1;
}
