/* SPDX-License-Identifier: BSD-3-Clause */
/* write_queue.h: what a transport has been given to write and the kernel has not taken yet: bytes objects, in order.
 *
 * A Python object, because asyncio's own code looks at it as `_buffer`: its length is that in bytes, so it is true while
 * something waits, and clear() drops everything.
 */
#ifndef TINE_PYTHON_WRITE_QUEUE_H
#define TINE_PYTHON_WRITE_QUEUE_H

#include <Python.h>
#include <stddef.h>
#include <sys/uio.h>

struct write_queue {
    PyObject_HEAD PyObject **pieces; /* a ring whose capacity is a power of two; exactly of type bytes */
    size_t cap, head, n;
    size_t sent; /* of the first piece */
    size_t size; /* bytes that wait */
};

/* The type `_tine.WriteQueue`; new reference, or NULL with an exception set. */
PyTypeObject *write_queue_type(PyObject *module);

/* Appends `data` (any bytes-like object) without its first `skip` bytes, of which there are fewer than it has. What can change
 * is copied. 0, or -1 with an exception set. */
int write_queue_push(struct write_queue *q, PyObject *data, size_t skip);
/* Describes the beginning of the queue, at most `max` pieces; the number of pieces. */
int write_queue_peek(const struct write_queue *q, struct iovec *iov, int max);
/* Drops the first n bytes: they have been written. */
void write_queue_consume(struct write_queue *q, size_t n);
void write_queue_clear(struct write_queue *q);

#endif
