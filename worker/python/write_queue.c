/* SPDX-License-Identifier: BSD-3-Clause */
/* write_queue.c: the bytes that wait for a transport's socket to take more. Calls nothing of Python's that runs Python
 * code: it holds bytes objects alone. */
#include "worker/python/write_queue.h"

#include <stdbool.h>

enum { FIRST_CAP = 8 };

static int grow(struct write_queue *q)
{
    size_t cap = q->cap ? q->cap * 2 : FIRST_CAP;
    PyObject **pieces = PyMem_Malloc(cap * sizeof *pieces);
    if (!pieces) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < q->n; i++)
        pieces[i] = q->pieces[(q->head + i) & (q->cap - 1)];
    PyMem_Free(q->pieces);
    q->pieces = pieces;
    q->cap = cap;
    q->head = 0;
    return 0;
}

static PyObject *copy_rest(PyObject *data, size_t skip)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
        return NULL;
    size_t n = (size_t)view.len > skip ? (size_t)view.len - skip : 0;
    PyObject *copy = PyBytes_FromStringAndSize((const char *)view.buf + ((size_t)view.len - n), (Py_ssize_t)n);
    PyBuffer_Release(&view);
    return copy;
}

int write_queue_push(struct write_queue *q, PyObject *data, size_t skip)
{
    /* Only the first piece can begin in the middle. */
    bool keep = PyBytes_CheckExact(data) && (!skip || !q->n);
    PyObject *piece = keep ? Py_NewRef(data) : copy_rest(data, skip);
    if (!piece)
        return -1;
    if (q->n == q->cap && grow(q)) {
        Py_DECREF(piece);
        return -1;
    }
    if (keep && skip)
        q->sent = skip;
    q->pieces[(q->head + q->n++) & (q->cap - 1)] = piece;
    q->size += (size_t)PyBytes_GET_SIZE(piece) - (keep ? skip : 0);
    return 0;
}

int write_queue_peek(const struct write_queue *q, struct iovec *iov, int max)
{
    int n = 0;
    size_t skip = q->sent;
    for (; n < max && (size_t)n < q->n; n++) {
        PyObject *piece = q->pieces[(q->head + (size_t)n) & (q->cap - 1)];
        iov[n].iov_base = PyBytes_AS_STRING(piece) + skip;
        iov[n].iov_len = (size_t)PyBytes_GET_SIZE(piece) - skip;
        skip = 0;
    }
    return n;
}

static void drop_first(struct write_queue *q)
{
    PyObject *piece = q->pieces[q->head];
    q->head = (q->head + 1) & (q->cap - 1);
    q->n--;
    q->sent = 0;
    Py_DECREF(piece);
}

void write_queue_consume(struct write_queue *q, size_t n)
{
    q->size -= n;
    while (q->n) {
        size_t left = (size_t)PyBytes_GET_SIZE(q->pieces[q->head]) - q->sent;
        if (n < left)
            break;
        n -= left;
        drop_first(q);
    }
    q->sent += n;
}

void write_queue_clear(struct write_queue *q)
{
    q->size = 0;
    while (q->n)
        drop_first(q);
}

static Py_ssize_t queue_length(PyObject *self)
{
    return (Py_ssize_t)((struct write_queue *)self)->size;
}

static PyObject *queue_clear(PyObject *self, PyObject *unused)
{
    write_queue_clear((struct write_queue *)self);
    Py_RETURN_NONE;
}

static void queue_dealloc(PyObject *self)
{
    struct write_queue *q = (struct write_queue *)self;
    PyTypeObject *type = Py_TYPE(self);
    write_queue_clear(q);
    PyMem_Free(q->pieces);
    type->tp_free(self);
    Py_DECREF(type);
}

static const PyMethodDef queue_methods[] = {
    { "clear", queue_clear, METH_NOARGS, NULL },
    { 0 },
};

static const PyType_Slot queue_slots[] = {
    { Py_tp_dealloc, queue_dealloc },
    { Py_sq_length, queue_length },
    { Py_tp_methods, (void *)queue_methods },
    { 0 },
};

PyTypeObject *write_queue_type(PyObject *module)
{
    PyType_Spec spec = {
        .name = "_tine.WriteQueue",
        .basicsize = sizeof(struct write_queue),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = (PyType_Slot *)queue_slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
