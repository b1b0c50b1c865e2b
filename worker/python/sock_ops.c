/* SPDX-License-Identifier: BSD-3-Clause */
/* sock_ops.c: what loop.sock_recv() and its kind do: each is tried at once, and waits (sock_wait.c) if the kernel has
 * nothing, or no room.
 *
 * A function takes the loop, the socket, and what the application has given. It returns the result, a SockWait, or
 * NotImplemented: asyncio's own code has to do it, which has not been begun. That is so in debug mode, and with what is
 * no socket of socket.socket itself, or blocks, or arguments that are out of the ordinary: what is wrong with them is
 * for asyncio to say. */
#include "worker/python/sock_ops.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "worker/python/loop_priv.h"
#include "worker/python/sock_wait.h"
#include "worker/python/sockaddr.h"
#include "worker/python/transport_priv.h"

static PyObject *not_ours(void)
{
    return Py_NewRef(Py_NotImplemented);
}

/* Not so: not_ours(), or NULL with an exception set, is to be returned. */
static bool is_ours(const struct pystate *st, PyObject *const *args, Py_ssize_t n, Py_ssize_t wanted)
{
    if (n != wanted || !PyObject_TypeCheck(args[0], st->base_type)) {
        PyErr_SetString(PyExc_TypeError, "a loop of Tine's, a socket and the arguments are required");
        return false;
    }
    if (((struct pyloop *)args[0])->debug || Py_TYPE(args[1]) != st->plain_socket_type)
        return false;
    PyObject *timeout = st->socket_gettimeout(args[1], NULL);
    bool blocks = !timeout || !PyFloat_CheckExact(timeout) || PyFloat_AS_DOUBLE(timeout) != 0;
    Py_XDECREF(timeout);
    return !blocks;
}

static PyObject *refuse(void)
{
    return PyErr_Occurred() ? NULL : not_ours();
}

static int family_of(const struct pystate *st, PyObject *sock)
{
    return *(int *)((char *)sock + st->socket_family);
}

static bool is_of_internet(const struct pystate *st, PyObject *sock)
{
    int family = family_of(st, sock);
    return family == AF_INET || family == AF_INET6;
}

/* Nobody has given socket.socket a method of this name, which it inherits: tests that forbid the network do, and programs
 * with rules for where to connect. */
static bool is_unguarded(const struct pystate *st, const char *method)
{
    return !PyDict_GetItemString(st->plain_socket_type->tp_dict, method);
}

static bool is_size(PyObject *number, size_t *ret)
{
    Py_ssize_t n = PyLong_CheckExact(number) ? PyLong_AsSsize_t(number) : -1;
    PyErr_Clear();
    *ret = (size_t)n;
    return n >= 0;
}

/* What a system call that has returned `n` comes to: see sock_call.attempt. */
static int outcome(ssize_t n)
{
    if (n >= 0)
        return 1;
    if (transport_would_block(errno))
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static int made(PyObject *result, PyObject **ret_result)
{
    *ret_result = result;
    return result ? 1 : -1;
}

/* Tries it; takes call->view. */
static PyObject *begin(struct pystate *st, PyObject *loop, struct sock_call *call, int kind)
{
    PyObject *result = NULL;
    int rc = call->attempt(st, call, &result);
    if (rc == 0)
        return sock_wait_new(st, (struct pyloop *)loop, call, kind);
    PyBuffer_Release(&call->view);
    return result;
}

/* --- receiving --- */

/* recvfrom(2) into bytes of call->size at most; `from` NULL: recv(2). As outcome(), with *ret_data. */
static int receive(struct pystate *st, const struct sock_call *call, union sockaddr_any *from, socklen_t *from_size,
                   PyObject **ret_data)
{
    bool fits = call->size <= TRANSPORT_READ_MAX;
    PyObject *data = fits ? NULL : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)call->size);
    char *to = fits ? transport_scratch(st) : data ? PyBytes_AS_STRING(data) : NULL;
    int fd = to ? transport_fd(st, call->sock) : -1;
    ssize_t n = fd < 0 ? -1 : recvfrom(fd, to, call->size, MSG_DONTWAIT, from ? &from->any : NULL, from_size);
    int rc = fd < 0 ? -1 : outcome(n);
    if (rc <= 0)
        Py_XDECREF(data);
    else if (fits)
        data = PyBytes_FromStringAndSize(to, n);
    else if (n != PyBytes_GET_SIZE(data))
        _PyBytes_Resize(&data, n);
    return rc <= 0 ? rc : made(data, ret_data);
}

static int attempt_recv(struct pystate *st, struct sock_call *call, PyObject **ret_result)
{
    return receive(st, call, NULL, NULL, ret_result);
}

/* Of a connection the kernel gives no address. */
static PyObject *address_of(const union sockaddr_any *from, socklen_t size)
{
    bool known = size && (from->any.sa_family == AF_INET || from->any.sa_family == AF_INET6);
    return known ? sockaddr_tuple(from) : Py_NewRef(Py_None);
}

/* (first, address); takes `first`. */
static int pair(PyObject *first, const union sockaddr_any *from, socklen_t size, PyObject **ret_result)
{
    PyObject *address = first ? address_of(from, size) : NULL;
    PyObject *result = address ? PyTuple_Pack(2, first, address) : NULL;
    Py_XDECREF(first);
    Py_XDECREF(address);
    return made(result, ret_result);
}

static int attempt_recvfrom(struct pystate *st, struct sock_call *call, PyObject **ret_result)
{
    union sockaddr_any from;
    socklen_t size = sizeof from;
    PyObject *data;
    int rc = receive(st, call, &from, &size, &data);
    return rc <= 0 ? rc : pair(data, &from, size, ret_result);
}

/* Into the buffer that the application has given, call->size bytes at most; 0: as many as there is room for. */
static int receive_into(struct pystate *st, const struct sock_call *call, union sockaddr_any *from,
                        socklen_t *from_size, PyObject **ret_count)
{
    PyObject *buffer = Py_XNewRef(call->argument);
    Py_buffer view = { 0 };
    int rc = -1;
    if (buffer && !PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)) {
        size_t room = (size_t)view.len, size = call->size && call->size < room ? call->size : room;
        int fd = transport_fd(st, call->sock);
        ssize_t n = fd < 0 ? -1 : recvfrom(fd, view.buf, size, MSG_DONTWAIT, from ? &from->any : NULL, from_size);
        rc = fd < 0 ? -1 : outcome(n);
        PyBuffer_Release(&view);
        if (rc > 0)
            rc = made(PyLong_FromSsize_t(n), ret_count);
    }
    Py_XDECREF(buffer);
    return rc;
}

static int attempt_recv_into(struct pystate *st, struct sock_call *call, PyObject **ret_result)
{
    return receive_into(st, call, NULL, NULL, ret_result);
}

static int attempt_recvfrom_into(struct pystate *st, struct sock_call *call, PyObject **ret_result)
{
    union sockaddr_any from;
    socklen_t size = sizeof from;
    PyObject *count;
    int rc = receive_into(st, call, &from, &size, &count);
    return rc <= 0 ? rc : pair(count, &from, size, ret_result);
}

/* sock_recv(loop, sock, n) */
static PyObject *sock_recv(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    size_t size;
    if (!is_ours(st, args, n, 3) || !is_size(args[2], &size) || !size)
        return refuse();
    struct sock_call call = { attempt_recv, .sock = args[1], .size = size };
    return begin(st, args[0], &call, WATCH_READ);
}

/* sock_recvfrom(loop, sock, bufsize) */
static PyObject *sock_recvfrom(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    size_t size;
    if (!is_ours(st, args, n, 3) || !is_of_internet(st, args[1]) || !is_size(args[2], &size))
        return refuse();
    struct sock_call call = { attempt_recvfrom, .sock = args[1], .size = size };
    return begin(st, args[0], &call, WATCH_READ);
}

/* Those whose length is what len() says, and that can be written to. */
static bool is_room(PyObject *buffer, size_t *ret_size)
{
    if (!PyByteArray_CheckExact(buffer)) {
        const Py_buffer *view = PyMemoryView_Check(buffer) ? PyMemoryView_GET_BUFFER(buffer) : NULL;
        if (!view || view->readonly || view->itemsize != 1 || view->ndim != 1 || !PyBuffer_IsContiguous(view, 'C'))
            return false;
    }
    Py_ssize_t size = PyObject_Size(buffer);
    PyErr_Clear(); /* of a view that was released */
    *ret_size = (size_t)size;
    return size >= 0;
}

/* sock_recv_into(loop, sock, buf) */
static PyObject *sock_recv_into(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    size_t room;
    if (!is_ours(st, args, n, 3) || !is_room(args[2], &room) || !room)
        return refuse();
    struct sock_call call = { attempt_recv_into, .sock = args[1], .argument = args[2] };
    return begin(st, args[0], &call, WATCH_READ);
}

/* sock_recvfrom_into(loop, sock, buf, nbytes); more than there is room for is an error, which is asyncio's to raise. */
static PyObject *sock_recvfrom_into(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    size_t size, room;
    if (!is_ours(st, args, n, 4) || !is_of_internet(st, args[1]) || !is_room(args[2], &room) ||
        !is_size(args[3], &size) || size > room)
        return refuse();
    struct sock_call call = { attempt_recvfrom_into, .sock = args[1], .argument = args[2], .size = size };
    return begin(st, args[0], &call, WATCH_READ);
}

/* --- sending --- */

static int attempt_send(struct pystate *st, struct sock_call *call, PyObject **ret_result)
{
    int fd = transport_fd(st, call->sock);
    if (fd < 0)
        return -1;
    ssize_t n = send(fd, (const char *)call->view.buf + call->sent, call->size - call->sent, TRANSPORT_SEND_FLAGS);
    int rc = outcome(n);
    call->sent += rc > 0 ? (size_t)n : 0;
    if (rc < 0)
        return -1;
    return call->sent < call->size ? 0 : made(Py_NewRef(Py_None), ret_result);
}

/* Those whose length is what len() says. */
static bool has_bytes(PyObject *data, Py_buffer *ret_view)
{
    if (!PyBytes_CheckExact(data) && !PyByteArray_CheckExact(data)) {
        const Py_buffer *view = PyMemoryView_Check(data) ? PyMemoryView_GET_BUFFER(data) : NULL;
        if (!view || view->itemsize != 1 || view->ndim != 1)
            return false;
    }
    if (!PyObject_GetBuffer(data, ret_view, PyBUF_SIMPLE))
        return true;
    PyErr_Clear();
    return false;
}

/* sock_sendall(loop, sock, data) */
static PyObject *sock_sendall(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    Py_buffer view;
    if (!is_ours(st, args, n, 3) || !has_bytes(args[2], &view))
        return refuse();
    struct sock_call call = { attempt_send, .sock = args[1], .view = view, .size = (size_t)view.len };
    return begin(st, args[0], &call, WATCH_WRITE);
}

/* sock_sendto(loop, sock, data, address); where there is no room, asyncio's own code begins again. */
static PyObject *sock_sendto(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    union sockaddr_any to;
    socklen_t size;
    Py_buffer view;
    if (!is_ours(st, args, n, 4) || !is_of_internet(st, args[1]) || !is_unguarded(st, "sendto") ||
        !sockaddr_parse(family_of(st, args[1]), args[3], &to, &size) || !has_bytes(args[2], &view))
        return refuse();
    int fd = PySys_Audit("socket.sendto", "OO", args[1], args[3]) ? -1 : transport_fd(st, args[1]);
    ssize_t sent = fd < 0 ? -1 : sendto(fd, view.buf, (size_t)view.len, TRANSPORT_SEND_FLAGS, &to.any, size);
    int rc = fd < 0 ? -1 : outcome(sent);
    PyBuffer_Release(&view);
    return rc < 0 ? NULL : rc == 0 ? not_ours() : PyLong_FromSsize_t(sent);
}

/* --- connections --- */

/* OSError(error, "Connect call failed ADDRESS"), as asyncio has it. */
static int connect_failed(int error, PyObject *address)
{
    PyObject *text = PyUnicode_FromFormat("Connect call failed %S", address);
    PyObject *args = text ? Py_BuildValue("(iO)", error, text) : NULL;
    if (args)
        PyErr_SetObject(PyExc_OSError, args);
    Py_XDECREF(args);
    Py_XDECREF(text);
    return -1;
}

/* The socket is writable: that is the end of connect(2). */
static int attempt_connect_end(struct pystate *st, struct sock_call *call, PyObject **ret_result)
{
    int fd = transport_fd(st, call->sock), error = 0;
    socklen_t size = sizeof error;
    if (fd < 0)
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
        return outcome(-1);
    if (error == EINPROGRESS || error == EALREADY || transport_would_block(error))
        return 0;
    return error ? connect_failed(error, call->argument) : made(Py_NewRef(Py_None), ret_result);
}

/* sock_connect(loop, sock, address): that of IPv4, by number. */
static PyObject *sock_connect(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    union sockaddr_any to;
    socklen_t size;
    if (!is_ours(st, args, n, 3) || family_of(st, args[1]) != AF_INET || !is_unguarded(st, "connect") ||
        !sockaddr_parse(AF_INET, args[2], &to, &size))
        return refuse();
    struct sock_call call = { attempt_connect_end, .sock = args[1], .argument = args[2] };
    int fd = PySys_Audit("socket.connect", "OO", args[1], args[2]) ? -1 : transport_fd(st, args[1]);
    if (fd < 0)
        return NULL;
    int rc;
    Py_BEGIN_ALLOW_THREADS rc = connect(fd, &to.any, size);
    Py_END_ALLOW_THREADS if (!rc) return Py_NewRef(Py_None);
    if (errno == EINPROGRESS || errno == EALREADY || transport_would_block(errno))
        return sock_wait_new(st, (struct pyloop *)args[0], &call, WATCH_WRITE);
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* What sock.accept() gives, the connection set not to block. */
static PyObject *accept_by_python(PyObject *sock)
{
    PyObject *accepted = PyObject_CallMethod(sock, "accept", NULL);
    bool is_pair = accepted && PyTuple_Check(accepted) && PyTuple_GET_SIZE(accepted) == 2;
    if (accepted && !is_pair)
        PyErr_SetString(PyExc_TypeError, "accept() has not returned a pair");
    PyObject *r = is_pair ? PyObject_CallMethod(PyTuple_GET_ITEM(accepted, 0), "setblocking", "O", Py_False) : NULL;
    if (!r)
        Py_CLEAR(accepted);
    Py_XDECREF(r);
    return accepted;
}

/* Most often there is nobody yet, which poll(2) says without an exception. What does not listen, accept() refuses. */
static bool nobody_connects(int fd)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    int listens = 0;
    socklen_t size = sizeof listens;
    return poll(&pollfd, 1, 0) == 0 && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) && listens;
}

static int attempt_accept(struct pystate *st, struct sock_call *call, PyObject **ret_result)
{
    int fd = transport_fd(st, call->sock);
    if (fd < 0 || nobody_connects(fd))
        return fd < 0 ? -1 : 0;
    PyObject *sock = Py_NewRef(call->sock);
    PyObject *accepted = accept_by_python(sock);
    Py_DECREF(sock);
    if (!accepted &&
        (PyErr_ExceptionMatches(PyExc_BlockingIOError) || PyErr_ExceptionMatches(PyExc_InterruptedError))) {
        PyErr_Clear();
        return 0;
    }
    return made(accepted, ret_result);
}

/* sock_accept(loop, sock) */
static PyObject *sock_accept(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    struct pystate *st = PyModule_GetState(module);
    if (!is_ours(st, args, n, 2))
        return refuse();
    struct sock_call call = { attempt_accept, .sock = args[1] };
    return begin(st, args[0], &call, WATCH_READ);
}

#define FAST(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL
static const PyMethodDef functions[] = {
    { "sock_recv", FAST(sock_recv), NULL },
    { "sock_recv_into", FAST(sock_recv_into), NULL },
    { "sock_recvfrom", FAST(sock_recvfrom), NULL },
    { "sock_recvfrom_into", FAST(sock_recvfrom_into), NULL },
    { "sock_sendall", FAST(sock_sendall), NULL },
    { "sock_sendto", FAST(sock_sendto), NULL },
    { "sock_connect", FAST(sock_connect), NULL },
    { "sock_accept", FAST(sock_accept), NULL },
    { 0 },
};

int sock_ops_init(PyObject *module, struct pystate *st)
{
    return sock_wait_type_init(module, st) || PyModule_AddType(module, st->sock_wait_type) ||
                   PyModule_AddFunctions(module, (PyMethodDef *)functions)
               ? -1
               : 0;
}
