/* SPDX-License-Identifier: BSD-3-Clause */
/* transport_priv.h: what the transports in C have in common (stream_*.c, datagram.c, pipe.c): each is a subclass of asyncio's
 * own, whose code does what is not hot, and finds what it sets and asks in members of ours. */
#ifndef TINE_PYTHON_TRANSPORT_PRIV_H
#define TINE_PYTHON_TRANSPORT_PRIV_H

#include <Python.h>
#include <stdbool.h>
#include <structmember.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "worker/python/pystate.h"

enum { TRANSPORT_READ_MAX = 256 * 1024 }; /* asyncio's max_size */

/* Never to wait in a system call, even if whoever shares the socket (a duplicate of the descriptor, a child process) has it
 * block: our calls keep the GIL. Reading has MSG_DONTWAIT for that. */
enum { TRANSPORT_SEND_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT };

/* The descriptor of a socket, asked for each time: whoever owns the socket may have closed it, and its number may be another
 * file's. -1 with OSError set. */
int transport_fd(const struct pystate *st, PyObject *sock);
/* The exception that is set is given to object.method(exception[, where]) as by an except clause; SystemExit and
 * KeyboardInterrupt stay set. 0, or -1 with an exception set. */
int transport_except(PyObject *object, const char *method, const char *where);
/* The exception that is set goes where asyncio sends it, which closes the connection; `where` is one of asyncio's texts. */
int transport_fatal(PyObject *self, const char *where);
/* Sets OSError from errno. */
int transport_fatal_errno(PyObject *self, const char *where);
/* Nothing is wrong: the kernel has nothing, or no room, at present. */
bool transport_would_block(int error);
/* TRANSPORT_READ_MAX bytes, shared by all transports of the interpreter: nothing of Python may run between the system call and
 * the copy. NULL with MemoryError set. */
char *transport_scratch(struct pystate *st);

/* A slot of asyncio's class; borrowed, may be NULL. */
static inline PyObject *transport_slot(PyObject *self, Py_ssize_t offset)
{
    return *(PyObject **)((char *)self + offset);
}

static inline PyObject *transport_done(int result)
{
    return result ? NULL : Py_NewRef(Py_None);
}

/* A subclass of `base` with `size` bytes more in each instance; in them are the members, up to one without a name. Objects among them
 * must be T_OBJECT_EX: then CPython's own code for classes visits and drops them. */
struct transport_class {
    const char *name;
    PyObject *base;
    size_t size;
    initproc init;
    const PyMethodDef *methods;
    const PyMemberDef *members;
};
PyTypeObject *transport_type(PyObject *module, const struct transport_class *class);
/* base.__init__(self, ...). 0, or -1 with an exception set. */
int transport_base_init(PyObject *base, PyObject *self, PyObject *args, PyObject *kwargs);
/* New reference, or NULL with an exception set. */
PyObject *transport_import(const char *module_name, const char *name);
/* What transport_fd() needs, and else of sockets. 0, or -1 with an exception set. */
int transport_init(struct pystate *st);

#endif
