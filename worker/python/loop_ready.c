/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_ready.c: the handles that are ready to run: a ring that grows. */
#include "worker/python/loop_priv.h"

enum { FIRST_CAP = 256 };

static int ready_grow(struct ready *r)
{
    size_t cap = r->cap ? r->cap * 2 : FIRST_CAP;
    PyObject **ring = PyMem_RawMalloc(cap * sizeof *ring);
    if (!ring) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < r->n; i++)
        ring[i] = r->ring[(r->head + i) & (r->cap - 1)];
    PyMem_RawFree(r->ring);
    r->ring = ring;
    r->cap = cap;
    r->head = 0;
    return 0;
}

int ready_push(struct pyloop *loop, PyObject *handle)
{
    struct ready *r = &loop->ready;
    if (r->n == r->cap && ready_grow(r)) {
        Py_DECREF(handle);
        return -1;
    }
    r->ring[(r->head + r->n++) & (r->cap - 1)] = handle;
    return 0;
}

void ready_clear(struct pyloop *loop)
{
    while (loop->ready.n > 0)
        Py_DECREF(ready_pop(loop));
    PyMem_RawFree(loop->ready.ring);
    loop->ready = (struct ready){ 0 };
}
