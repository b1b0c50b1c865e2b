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

int asgi_status(PyObject *message, PyObject *key, const char *type)
{
    PyObject *status = PyDict_GetItemWithError(message, key);
    if (!status || !PyIndex_Check(status)) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "%s needs \"status\", an int", type);
        return -1;
    }
    Py_INCREF(status); /* its __index__() may take it out of the message */
    Py_ssize_t code = PyNumber_AsSsize_t(status, NULL);
    Py_DECREF(status);
    if (code == -1 && PyErr_Occurred())
        return -1;
    return code < 0 || code > 999 ? 0 : (int)code;
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

/* Whether a pair can be looked at without running anything of the application's. */
static bool is_plain(PyObject *pair)
{
    if (PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2)
        return PyBytes_Check(PyTuple_GET_ITEM(pair, 0)) && PyBytes_Check(PyTuple_GET_ITEM(pair, 1));
    return PyList_CheckExact(pair) && PyList_GET_SIZE(pair) == 2 && PyBytes_Check(PyList_GET_ITEM(pair, 0)) &&
           PyBytes_Check(PyList_GET_ITEM(pair, 1));
}

/* What is like bytes (bytearray, memoryview) becomes bytes. */
static int items_to_bytes(PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i), *bytes;
        if (PyBytes_Check(item) || !PyObject_CheckBuffer(item))
            continue;
        if (!(bytes = PyBytes_FromObject(item)))
            return -1;
        PyTuple_SET_ITEM(tuple, i, bytes);
        Py_DECREF(item);
    }
    return 0;
}

/* A fresh tuple of what a pair has. */
static PyObject *pair_tuple(PyObject *pair)
{
    PyObject *list = PyBytes_Check(pair) || PyUnicode_Check(pair) ? NULL : PySequence_List(pair);
    PyObject *tuple = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    if (!tuple && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "each header must be a [name, value] of two bytes objects");
    if (tuple && items_to_bytes(tuple) < 0)
        Py_CLEAR(tuple);
    return tuple;
}

/* Turns what is not plain (generators' items, namedtuples, bytearrays ...) into tuples that `keep` holds. */
static int pairs_exact(PyObject *keep)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keep); i++) {
        PyObject *pair = PyList_GET_ITEM(keep, i);
        if (is_plain(pair))
            continue;
        Py_INCREF(pair);
        PyObject *tuple = pair_tuple(pair);
        Py_DECREF(pair);
        if (!tuple || PyList_SetItem(keep, i, tuple) < 0)
            return -1;
    }
    return 0;
}

/* A list that is safe to walk: the application's own list or tuple when its items are plain, else a copy. */
static PyObject *fields_list(PyObject *headers)
{
    bool plain = PyList_CheckExact(headers) || PyTuple_CheckExact(headers);
    for (Py_ssize_t i = 0; plain && i < PySequence_Fast_GET_SIZE(headers); i++)
        plain = is_plain(PySequence_Fast_GET_ITEM(headers, i));
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
