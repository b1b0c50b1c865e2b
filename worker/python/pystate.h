/* SPDX-License-Identifier: BSD-3-Clause */
/* pystate.h: what the built-in module `_tine` keeps for one interpreter: its types, the names it
 * looks up, the places of asyncio.Handle's slots. Every Python object of the loop lives here or in
 * an instance, never in a C global. */
#ifndef TINE_PYTHON_PYSTATE_H
#define TINE_PYTHON_PYSTATE_H

#include <Python.h>

#define PYSTATE_NAMES(X)      \
    X(_callback_failed)       \
    X(_check_callback)        \
    X(_check_thread)          \
    X(_run_handle)            \
    X(_cancelled)             \
    X(_hand_over)             \
    X(_add_reader)            \
    X(_add_writer)            \
    X(Task)                   \
    X(_context)               \
    X(_maybe_pause_protocol)  \
    X(_maybe_resume_protocol) \
    X(_protocol_connected)    \
    X(_sock_fd)               \
    X(_transports)            \
    X(_write_queued)          \
    X(_write_ready)           \
    X(buffer_updated)         \
    X(call_at)                \
    X(call_later)             \
    X(call_soon)              \
    X(call_soon_threadsafe)   \
    X(checkpoint)             \
    X(context)                \
    X(data)                   \
    X(data_received)          \
    X(datagram_received)      \
    X(fileno)                 \
    X(get_buffer)             \
    X(get_debug)              \
    X(get_task_factory)       \
    X(hand_over)              \
    X(loop)                   \
    X(name)                   \
    X(peername)               \
    X(run)                    \
    X(sendto)                 \
    X(waiter)                 \
    X(write)                  \
    X(writelines)             \
    X(_serve)                 \
    X(_turn)

/* Offsets of the slots of asyncio.Handle and asyncio.TimerHandle inside their instances. */
struct handle_layout {
    Py_ssize_t callback, args, cancelled, loop, source_traceback, repr, context;
    Py_ssize_t when, scheduled; /* TimerHandle */
    Py_ssize_t place;           /* ours: struct timer_place */
};

/* The same of asyncio's transport for sockets. */
struct stream_layout {
    Py_ssize_t loop, protocol_paused, high_water;
    Py_ssize_t fields; /* ours: struct stream */
};

/* And of that for datagrams. */
struct datagram_layout {
    Py_ssize_t extra;
    Py_ssize_t fields; /* ours: struct datagram */
};

struct pystate {
    PyTypeObject *handle_type; /* ours, derived from asyncio.Handle */
    PyTypeObject *timer_type;  /* ours, derived from asyncio.TimerHandle */
    PyObject *shared_type;     /* asyncio's _ThreadSafeHandle; NULL: this Python is older than 3.14 */
    PyTypeObject *base_type;   /* LoopBase */
    PyTypeObject *stream_type; /* SocketTransport, derived from stream_base */
    PyTypeObject *write_queue_type;
    PyTypeObject *datagram_type; /* DatagramTransport, derived from datagram_base; the same of the next two */
    PyTypeObject *read_pipe_type;
    PyTypeObject *write_pipe_type;
    PyObject *datagram_base; /* asyncio's transport for datagrams */
    PyObject *read_pipe_base; /* and those for pipes */
    PyObject *write_pipe_base;
    PyObject *stream_base;       /* asyncio's transport for sockets */
    PyObject *buffered_protocol; /* asyncio.BufferedProtocol */
    PyTypeObject *socket_type;   /* _socket.socket */
    PyCFunction socket_fileno;   /* its methods fileno() and gettimeout() */
    PyCFunction socket_gettimeout;
    Py_ssize_t socket_family;       /* where it has its family, an int */
    PyTypeObject *plain_socket_type; /* socket.socket; NULL: somebody has replaced it by what is no such socket */
    PyTypeObject *sock_wait_type;
    char *read_scratch;          /* TRANSPORT_READ_MAX bytes, or NULL: not needed yet; PyMem_Raw */
    PyObject *loop_class;      /* Loop of loop.py */
    PyObject *loop_module;     /* loop.py */
    PyObject *future_type;     /* _asyncio.Future */
    PyObject *future_kwnames;  /* ("loop",) */
    PyObject *tasks_dict;      /* of the module asyncio.tasks */
    PyObject *task_kwnames;    /* ("loop", "name", "context") */
    PyObject *create_task;     /* asyncio.BaseEventLoop.create_task */
    struct handle_layout layout;
    struct stream_layout stream_layout;
    struct datagram_layout datagram_layout;
#define X(name) PyObject *name_##name;
    PYSTATE_NAMES(X)
#undef X
};

/* Makes `_tine` importable; before Python is initialised. 0 or -1. */
int pystate_register(void) __attribute__((warn_unused_result));
/* The same in the present interpreter, when Python runs already. 0, or -1 with an exception set. */
int pystate_install(void) __attribute__((warn_unused_result));
/* The same in a Python that is no worker, where the import system does it: what PyInit__tine() returns. NULL: exception set. */
PyObject *pystate_alone(void);
/* The state of `_tine` in this interpreter, imported if need be; NULL: exception set. *ret_module:
 * new reference. */
struct pystate *pystate_import(PyObject **ret_module);

/* Runs Python source as module `name`; new reference, or NULL with an exception set. */
PyObject *pystate_run(const char *name, const char *source);

#endif
