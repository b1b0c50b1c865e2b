/* SPDX-License-Identifier: BSD-3-Clause */
/* tine_test.c: the module `_tine_test`: the task runner and the ready awaitables in the hands of Python tests. Linked
 * into the test host only. */
#include "tests/python/tine_test.h"

#include <stdbool.h>
#include <time.h>

#include "worker/python/awaitable.h"
#include "worker/python/task.h"

struct state {
    struct pytasks *tasks;
    struct pytasks *second; /* of the same loop, as a second application has one */
    struct awaitables *awaitables;
};

static struct state *state_of(PyObject *module)
{
    struct state *s = PyModule_GetState(module);
    if (!s->tasks)
        PyErr_SetString(PyExc_RuntimeError, "use(pyloop) was not called");
    return s->tasks ? s : NULL;
}

/* use(pyloop): makes a task runner for the loop in the capsule. */
static PyObject *test_use(PyObject *module, PyObject *capsule)
{
    struct state *s = PyModule_GetState(module);
    struct pyloop *loop = PyCapsule_GetPointer(capsule, TINE_TEST_LOOP);
    if (!loop)
        return NULL;
    s->tasks = pytasks_new(loop);
    s->second = s->tasks ? pytasks_new(loop) : NULL;
    s->awaitables = s->second ? awaitables_new() : NULL;
    if (!s->awaitables)
        return NULL;
    Py_RETURN_NONE;
}

/* `arg` is the test's done(result, exception). */
static void on_done(PyObject *arg, PyObject *result, PyObject *exception)
{
    PyObject *r = PyObject_CallFunctionObjArgs(arg, result ? result : Py_None, exception ? exception : Py_None, NULL);
    if (!r)
        PyErr_WriteUnraisable(arg);
    Py_XDECREF(r);
}

static PyObject *test_start(PyObject *module, PyObject *args)
{
    struct state *s = state_of(module);
    PyObject *coro, *done;
    if (!s || !PyArg_ParseTuple(args, "OO", &coro, &done))
        return NULL;
    if (pytask_start(s->tasks, Py_NewRef(coro), on_done, done) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *call(struct pytasks *tasks, PyObject *const *args, Py_ssize_t n)
{
    if (n < 2)
        return PyErr_Format(PyExc_TypeError, "call(done, callable, *args)");
    if (pytask_call(tasks, args[1], args + 2, n - 2, on_done, args[0]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* call(done, callable, *args) */
static PyObject *test_call(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct state *s = state_of(module);
    return s ? call(s->tasks, args, n) : NULL;
}

/* call_second(done, callable, *args) */
static PyObject *test_call_second(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct state *s = state_of(module);
    return s ? call(s->second, args, n) : NULL;
}

static PyObject *test_idle(PyObject *module, PyObject *unused)
{
    struct state *s = state_of(module);
    return s ? PyBool_FromLong(pytasks_idle(s->tasks)) : NULL;
}

static PyObject *test_running(PyObject *module, PyObject *unused)
{
    struct state *s = state_of(module);
    return s ? PyLong_FromUnsignedLong(pytasks_running(s->tasks)) : NULL;
}

/* cancel_all(spared=None): spared is the done of what goes on. */
static PyObject *test_cancel_all(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct state *s = state_of(module);
    if (!s)
        return NULL;
    pytasks_cancel_all(s->tasks, n > 0 ? args[0] : NULL);
    Py_RETURN_NONE;
}

/* Frees the runner and the awaitables' owner; the module is of no use afterwards. */
static PyObject *test_free(PyObject *module, PyObject *unused)
{
    struct state *s = PyModule_GetState(module);
    struct pytasks *tasks = s->tasks;
    s->tasks = NULL;
    pytasks_free(tasks);
    pytasks_free(s->second);
    s->second = NULL;
    awaitables_free(s->awaitables);
    s->awaitables = NULL;
    Py_RETURN_NONE;
}

static PyObject *test_value(PyObject *module, PyObject *value)
{
    struct state *s = state_of(module);
    return s ? awaitable_value(s->awaitables, Py_NewRef(value)) : NULL;
}

static PyObject *test_none(PyObject *module, PyObject *unused)
{
    struct state *s = state_of(module);
    return s ? awaitable_none(s->awaitables) : NULL;
}

static PyObject *test_raise(PyObject *module, PyObject *exception)
{
    struct state *s = state_of(module);
    return s ? awaitable_raise(s->awaitables, exception) : NULL;
}

static void on_bench_done(PyObject *arg, PyObject *result, PyObject *exception)
{
}

/* bench(callable, n): n times pytask_call(callable); CPU nanoseconds of one. */
static PyObject *test_bench(PyObject *module, PyObject *args)
{
    struct state *s = state_of(module);
    PyObject *callable;
    long n;
    if (!s || !PyArg_ParseTuple(args, "Ol", &callable, &n))
        return NULL;
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (long i = 0; i < n; i++) {
        if (pytask_call(s->tasks, callable, NULL, 0, on_bench_done, NULL) < 0)
            return NULL;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    return PyFloat_FromDouble(ns / (double)n);
}

static PyMethodDef methods[] = {
    { "use", test_use, METH_O, NULL },
    { "start", test_start, METH_VARARGS, NULL },
    { "call", (PyCFunction)(void (*)(void))test_call, METH_FASTCALL, NULL },
    { "call_second", (PyCFunction)(void (*)(void))test_call_second, METH_FASTCALL, NULL },
    { "idle", test_idle, METH_NOARGS, NULL },
    { "running", test_running, METH_NOARGS, NULL },
    { "cancel_all", (PyCFunction)(void (*)(void))test_cancel_all, METH_FASTCALL, NULL },
    { "free", test_free, METH_NOARGS, NULL },
    { "value", test_value, METH_O, NULL },
    { "none", test_none, METH_NOARGS, NULL },
    { "raises", test_raise, METH_O, NULL },
    { "bench", test_bench, METH_VARARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static PyModuleDef_Slot slots[] = {
#if PY_VERSION_HEX >= 0x030c0000
    { Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED },
#endif
    { 0, NULL },
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_tine_test", .m_size = sizeof(struct state),
    .m_methods = methods,  .m_slots = slots,
};

PyMODINIT_FUNC PyInit__tine_test(void)
{
    return PyModuleDef_Init(&definition);
}
