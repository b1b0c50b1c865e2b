/* SPDX-License-Identifier: BSD-3-Clause */
/* coro.c: the parts of the coroutine protocol that CPython keeps to itself: turning throw()'s arguments into an
 * exception, StopIteration with any value, the iterator of an awaitable. It holds no state. */
#include "worker/python/coro.h"

int coro_register(PyTypeObject *type)
{
    PyObject *abc = PyImport_ImportModule("collections.abc");
    if (!abc)
        return -1;
    PyObject *coroutine = PyObject_GetAttrString(abc, "Coroutine");
    Py_DECREF(abc);
    if (!coroutine)
        return -1;
    PyObject *r = PyObject_CallMethod(coroutine, "register", "O", type);
    Py_DECREF(coroutine);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

void coro_stop(PyObject *value)
{
    if (!PyTuple_Check(value) && !PyExceptionInstance_Check(value)) {
        PyErr_SetObject(PyExc_StopIteration, value);
        return;
    }
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (!stop)
        return;
    PyErr_SetObject(PyExc_StopIteration, stop);
    Py_DECREF(stop);
}

void coro_raise(PyObject *exception)
{
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
}

void coro_restore(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
#endif
}

/* type(value), as `raise type, value` did. */
static PyObject *instantiate(PyObject *type, PyObject *value)
{
    if (value && PyObject_TypeCheck(value, (PyTypeObject *)type))
        return Py_NewRef(value);
    PyObject *exc;
    if (!value || value == Py_None)
        exc = PyObject_CallNoArgs(type);
    else if (PyTuple_Check(value))
        exc = PyObject_Call(type, value, NULL);
    else
        exc = PyObject_CallOneArg(type, value);
    if (exc && !PyExceptionInstance_Check(exc)) {
        PyErr_Format(PyExc_TypeError, "calling %R should have returned an instance of BaseException, not %s", type,
                     Py_TYPE(exc)->tp_name);
        Py_CLEAR(exc);
    }
    return exc;
}

PyObject *coro_throw_argument(PyObject *const *args, Py_ssize_t n)
{
    if (n < 1 || n > 3) {
        PyErr_Format(PyExc_TypeError, "throw expected 1 to 3 arguments, got %zd", n);
        return NULL;
    }
    PyObject *type = args[0], *value = n > 1 ? args[1] : NULL, *tb = n > 2 ? args[2] : NULL;
    if (tb == Py_None)
        tb = NULL;
    if (tb && !PyTraceBack_Check(tb)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
        return NULL;
    }
    PyObject *exc;
    if (PyExceptionInstance_Check(type)) {
        if (value && value != Py_None) {
            PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
            return NULL;
        }
        exc = Py_NewRef(type);
    } else if (PyExceptionClass_Check(type)) {
        exc = instantiate(type, value);
    } else {
        PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %s",
                     Py_TYPE(type)->tp_name);
        return NULL;
    }
    if (exc && tb && PyException_SetTraceback(exc, tb) < 0)
        Py_CLEAR(exc);
    return exc;
}

/* A generator marked by types.coroutine() may be awaited; public API has no other way to see the mark. */
static int is_iterable_coroutine(PyObject *object)
{
    if (!PyGen_CheckExact(object))
        return 0;
    PyObject *code = PyObject_GetAttrString(object, "gi_code");
    if (!code)
        return -1;
    int marked = (((PyCodeObject *)code)->co_flags & CO_ITERABLE_COROUTINE) != 0;
    Py_DECREF(code);
    return marked;
}

PyObject *coro_awaitable_iterator(PyObject *object)
{
    if (PyCoro_CheckExact(object))
        return Py_NewRef(object);
    int marked = is_iterable_coroutine(object);
    if (marked < 0)
        return NULL;
    if (marked)
        return Py_NewRef(object);
    PyTypeObject *type = Py_TYPE(object);
    if (!type->tp_as_async || !type->tp_as_async->am_await) {
        PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression", type->tp_name);
        return NULL;
    }
    PyObject *iterator = type->tp_as_async->am_await(object);
    if (!iterator)
        return NULL;
    marked = PyCoro_CheckExact(iterator) ? 1 : is_iterable_coroutine(iterator);
    if (marked > 0)
        PyErr_SetString(PyExc_TypeError, "__await__() returned a coroutine");
    else if (marked == 0 && !PyIter_Check(iterator))
        PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'", Py_TYPE(iterator)->tp_name);
    else if (marked == 0)
        return iterator;
    Py_DECREF(iterator);
    return NULL;
}

/* Copies `from`.`attribute` to the type, so that iscoroutinefunction(receive) is true; absent in some versions. */
static int copy_marker(PyTypeObject *type, const char *module, const char *attribute, const char *as)
{
    PyObject *from = PyImport_ImportModule(module);
    if (!from)
        return -1;
    PyObject *marker = PyObject_GetAttrString(from, attribute);
    Py_DECREF(from);
    if (!marker) {
        PyErr_Clear();
        return 0;
    }
    int r = PyObject_SetAttrString((PyObject *)type, as, marker);
    Py_DECREF(marker);
    return r;
}

int coro_mark_function(PyTypeObject *type)
{
    if (copy_marker(type, "asyncio.coroutines", "_is_coroutine", "_is_coroutine") < 0)
        return -1;
    return copy_marker(type, "inspect", "_is_coroutine_mark", "_is_coroutine_marker");
}
