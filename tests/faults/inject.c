/* SPDX-License-Identifier: BSD-3-Clause */
/* inject.c: makes the n-th call of a kind fail, where a test asked for it. Linked into tine only by
 * `configure --enable-fault-injection`, in front of the functions by the linker's --wrap; without $TINE_FAULTS (the
 * page's file) it does nothing. Never part of a build that is installed.
 */
#define TINE_FAULTS_INJECT
#include "tests/faults/inject.h"
#include "tests/faults/python.h"

#include <Python.h>
#include <errno.h>
#include <event2/event.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fault_page *page;

__attribute__((constructor)) static void map_page(void)
{
    const char *path = getenv("TINE_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    page = at == MAP_FAILED ? NULL : at;
}

/* True, with errno set: this call is to fail. */
static bool fails(enum fault_kind kind, int error)
{
    if (!page || !(atomic_load(&page->kinds) & kind) || atomic_load(&page->pid) != (uint32_t)getpid())
        return false;
    uint64_t seen = atomic_fetch_add(&page->seen, 1) + 1, at = atomic_load(&page->at);
    if (seen != at && at != FAULT_EACH)
        return false;
    atomic_store(&page->fired, 1);
    if (getenv("TINE_FAULTS_TRACE")) {
        void *frames[30];
        backtrace_symbols_fd(frames, backtrace(frames, 30), 2);
    }
    uint32_t asked = atomic_load(&page->error);
    errno = asked ? (int)asked : error;
    return true;
}

/* What a peer can break. An eventfd of ours always takes what is written; what fails in the log could not be seen. */
static bool may_break(int fd)
{
    struct stat st;
    return page && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool no_python_object(void)
{
    if (!fails(FAULT_PYTHON, ENOMEM))
        return false;
    PyErr_NoMemory();
    return true;
}

#define WRAP(type, name, params, args, fails_, value) \
    type __real_##name params;                        \
    type __wrap_##name params;                        \
    type __wrap_##name params                         \
    {                                                 \
        return fails_ ? value : __real_##name args;   \
    }
#define WRAP_ALLOC(type, name, params, args) WRAP(type, name, params, args, fails(FAULT_ALLOC, ENOMEM), NULL)
/* Not by the linker: python.h sends the callers here, those above the loop. */
#define MAKE(type, name, params, args, value)          \
    type fault_##name params                           \
    {                                                  \
        return no_python_object() ? value : name args; \
    }
#define WRAP_READ(name, params, args) WRAP(ssize_t, name, params, args, fails(FAULT_READ, ECONNRESET), -1)
#define WRAP_WRITE(name, params, args) WRAP(ssize_t, name, params, args, may_break(fd) && fails(FAULT_WRITE, EPIPE), -1)
#define WRAP_OPEN(name, params, args) WRAP(int, name, params, args, fails(FAULT_OPEN, EMFILE), -1)

WRAP_ALLOC(void *, malloc, (size_t n), (n))
WRAP_ALLOC(void *, calloc, (size_t n, size_t size), (n, size))
WRAP_ALLOC(void *, realloc, (void *p, size_t n), (p, n))
WRAP_ALLOC(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP_ALLOC(char *, strdup, (const char *s), (s))
WRAP_ALLOC(char *, strndup, (const char *s, size_t n), (s, n))
WRAP_ALLOC(void *, PyMem_RawMalloc, (size_t n), (n))
WRAP_ALLOC(void *, PyMem_RawCalloc, (size_t n, size_t size), (n, size))
WRAP_ALLOC(void *, PyMem_RawRealloc, (void *p, size_t n), (p, n))
WRAP_ALLOC(void *, PyMem_Malloc, (size_t n), (n))
WRAP_ALLOC(struct event *, event_new,
           (struct event_base * b, evutil_socket_t fd, short what, event_callback_fn f, void *arg),
           (b, fd, what, f, arg))

MAKE(PyObject *, PyDict_New, (void), (), NULL)
MAKE(PyObject *, PyDict_Copy, (PyObject * o), (o), NULL)
MAKE(PyObject *, PyList_New, (Py_ssize_t n), (n), NULL)
MAKE(PyObject *, PyTuple_New, (Py_ssize_t n), (n), NULL)
MAKE(PyObject *, PyBytes_FromString, (const char *s), (s), NULL)
MAKE(PyObject *, PyBytes_FromStringAndSize, (const char *s, Py_ssize_t n), (s, n), NULL)
MAKE(PyObject *, PyUnicode_FromString, (const char *s), (s), NULL)
MAKE(PyObject *, PyUnicode_DecodeLatin1, (const char *s, Py_ssize_t n, const char *e), (s, n, e), NULL)
MAKE(PyObject *, PyUnicode_DecodeUTF8, (const char *s, Py_ssize_t n, const char *e), (s, n, e), NULL)
MAKE(PyObject *, PyUnicode_New, (Py_ssize_t n, Py_UCS4 max), (n, max), NULL)
MAKE(PyObject *, PyLong_FromSsize_t, (Py_ssize_t n), (n), NULL)
MAKE(PyObject *, PyLong_FromSize_t, (size_t n), (n), NULL)
MAKE(PyObject *, PyContext_Copy, (PyObject * o), (o), NULL)
MAKE(PyObject *, _PyObject_New, (PyTypeObject * t), (t), NULL)
MAKE(PyObject *, _PyObject_GC_New, (PyTypeObject * t), (t), NULL)
MAKE(PyObject *, PyCMethod_New, (PyMethodDef * d, PyObject *self, PyObject *module, PyTypeObject *t),
     (d, self, module, t), NULL)
MAKE(PyObject *, PyObject_Vectorcall, (PyObject * o, PyObject *const *v, size_t n, PyObject *names), (o, v, n, names),
     NULL)
MAKE(PyObject *, PyObject_CallOneArg, (PyObject * o, PyObject *arg), (o, arg), NULL)
MAKE(PyObject *, PyObject_CallNoArgs, (PyObject * o), (o), NULL)
MAKE(int, PyDict_SetItem, (PyObject * d, PyObject *k, PyObject *v), (d, k, v), -1)
MAKE(int, PyList_Append, (PyObject * l, PyObject *o), (l, o), -1)

WRAP(int, event_add, (struct event * e, const struct timeval *t), (e, t), fails(FAULT_EVENT, ENOMEM), -1)
WRAP(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags),
     fails(FAULT_ACCEPT, EMFILE), -1)
WRAP(pid_t, fork, (void), (), fails(FAULT_PROCESS, EAGAIN), -1)

WRAP_READ(read, (int fd, void *p, size_t n), (fd, p, n))
WRAP_READ(recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP_READ(recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
WRAP_READ(pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP_WRITE(write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP_WRITE(send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP_WRITE(sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP_WRITE(sendfile, (int fd, int in, off_t *at, size_t n), (fd, in, at, n))

WRAP_OPEN(socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP_OPEN(socketpair, (int domain, int type, int protocol, int v[2]), (domain, type, protocol, v))
WRAP_OPEN(pipe2, (int v[2], int flags), (v, flags))
WRAP_OPEN(eventfd, (unsigned n, int flags), (n, flags))
WRAP_OPEN(timerfd_create, (int clock, int flags), (clock, flags))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return fails(FAULT_OPEN, EMFILE) ? -1 : __real_open(path, flags, mode);
}
