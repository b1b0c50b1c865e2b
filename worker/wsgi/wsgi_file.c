/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_file.c: see wsgi_file.h. A file is real if it is of Python's own types for binary files: what merely has a
 * fileno() may mean other bytes than the descriptor's (gzip does). */
#include "worker/wsgi/wsgi_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "common/fdutil.h"
#include "worker/wsgi/wsgi_state.h"

#define BLOCK_SIZE (32 << 10)

struct file {
    PyObject_HEAD PyObject *file, *read;
    PyObject *size;
    bool touched; /* iterated: bytes are missing */
};

static int file_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct file *f = (struct file *)self;
    char *names[] = { "filelike", "blksize", NULL };
    PyObject *file;
    Py_ssize_t size = BLOCK_SIZE;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|n:FileWrapper", names, &file, &size))
        return -1;
    PyObject *read = PyObject_GetAttrString(file, "read");
    PyObject *number = read ? PyLong_FromSsize_t(size > 0 ? size : BLOCK_SIZE) : NULL;
    if (!number) {
        Py_XDECREF(read);
        return -1;
    }
    Py_XSETREF(f->file, Py_NewRef(file));
    Py_XSETREF(f->read, read);
    Py_XSETREF(f->size, number);
    return 0;
}

static PyObject *file_next(PyObject *self)
{
    struct file *f = (struct file *)self;
    f->touched = true;
    if (!f->read)
        return NULL;
    PyObject *read = Py_NewRef(f->read), *size = Py_NewRef(f->size); /* what is read may call __init__() again */
    PyObject *data = PyObject_CallOneArg(read, size);
    Py_DECREF(read);
    Py_DECREF(size);
    if (data && PyObject_Size(data) == 0)
        Py_CLEAR(data);
    return data;
}

static PyObject *file_close(PyObject *self, PyObject *unused)
{
    struct file *f = (struct file *)self;
    PyObject *file = Py_XNewRef(f->file), *close = file ? PyObject_GetAttrString(file, "close") : NULL;
    Py_XDECREF(file);
    if (!close && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return NULL;
    PyErr_Clear();
    if (!close)
        Py_RETURN_NONE;
    PyObject *r = PyObject_CallNoArgs(close);
    Py_DECREF(close);
    return r;
}

static int file_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct file *f = (struct file *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(f->file);
    Py_VISIT(f->read);
    return 0;
}

static int file_clear(PyObject *self)
{
    struct file *f = (struct file *)self;
    Py_CLEAR(f->file);
    Py_CLEAR(f->read);
    Py_CLEAR(f->size);
    return 0;
}

static void file_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    file_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef file_methods[] = {
    { "close", file_close, METH_NOARGS, "close()\n--\n\nCloses the file." },
    { 0 },
};

static PyType_Slot file_slots[] = {
    { Py_tp_doc, (void *)(uintptr_t)"FileWrapper(filelike, blksize=32768)\n--\n\nAn iterator over a file's blocks." },
    { Py_tp_init, file_init },
    { Py_tp_new, PyType_GenericNew },
    { Py_tp_traverse, file_traverse },
    { Py_tp_clear, file_clear },
    { Py_tp_dealloc, file_dealloc },
    { Py_tp_methods, file_methods },
    { Py_tp_iter, PyObject_SelfIter },
    { Py_tp_iternext, file_next },
    { 0 },
};

static PyType_Spec file_spec = {
    .name = "tine.FileWrapper",
    .basicsize = sizeof(struct file),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = file_slots,
};

int wsgi_file_init(struct wsgi *wsgi)
{
    PyObject *io = PyImport_ImportModule("io");
    if (io) {
        wsgi->file_io = PyObject_GetAttrString(io, "FileIO");
        wsgi->buffered_reader = PyObject_GetAttrString(io, "BufferedReader");
        wsgi->buffered_random = PyObject_GetAttrString(io, "BufferedRandom");
        Py_DECREF(io);
    }
    if (!wsgi->file_io || !wsgi->buffered_reader || !wsgi->buffered_random)
        return -1;
    wsgi->file_type = (PyTypeObject *)PyType_FromSpec(&file_spec);
    return wsgi->file_type ? 0 : -1;
}

/* The file inside tempfile.NamedTemporaryFile()'s wrapper; else the object itself. New reference. */
static PyObject *unwrapped(struct wsgi *wsgi, PyObject *object)
{
    if (!strcmp(Py_TYPE(object)->tp_name, "_TemporaryFileWrapper"))
        return PyObject_GetAttr(object, wsgi->names.file);
    return Py_NewRef(object);
}

/* 1, 0, or -1 with an exception set. */
static int is_real(struct wsgi *wsgi, PyObject *file)
{
    PyObject *type = (PyObject *)Py_TYPE(file);
    if (type == wsgi->file_io)
        return 1;
    if (type != wsgi->buffered_reader && type != wsgi->buffered_random)
        return 0;
    PyObject *raw = PyObject_GetAttr(file, wsgi->names.raw);
    int real = raw ? (PyObject *)Py_TYPE(raw) == wsgi->file_io : -1;
    Py_XDECREF(raw);
    return real;
}

static int open_real(struct wsgi *wsgi, PyObject *file, int *ret_fd, off_t *ret_at, size_t *ret_n)
{
    struct stat st;
    PyObject *flushed = PyObject_CallMethodNoArgs(file, wsgi->names.flush);
    PyObject *tell = flushed ? PyObject_CallMethodNoArgs(file, wsgi->names.tell) : NULL;
    Py_XDECREF(flushed);
    long long at = tell ? PyLong_AsLongLong(tell) : -1;
    Py_XDECREF(tell);
    int own, fd = at < 0 ? -1 : PyObject_AsFileDescriptor(file);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        PyErr_Clear(); /* a pipe has no position; a closed file raises when it is read */
        return 0;
    }
    /* A descriptor of our own: the application's close() need not wait for the client. */
    if ((own = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    *ret_fd = own;
    *ret_at = (off_t)at;
    *ret_n = at < st.st_size ? (size_t)(st.st_size - at) : 0;
    return 1;
}

int wsgi_file_real(struct wsgi *wsgi, PyObject *object, int *ret_fd, off_t *ret_at, size_t *ret_n)
{
    struct file *f = (struct file *)object;
    if (Py_TYPE(object) != wsgi->file_type || f->touched || !f->file)
        return 0;
    PyObject *wrapped = Py_NewRef(f->file), *file = unwrapped(wsgi, wrapped);
    int real = file ? is_real(wsgi, file) : -1;
    if (real > 0)
        real = open_real(wsgi, file, ret_fd, ret_at, ret_n);
    Py_XDECREF(file);
    Py_DECREF(wrapped);
    return real;
}
