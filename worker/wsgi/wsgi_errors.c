/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_errors.c: see wsgi_errors.h. Buffers by the line: one stream serves all threads, and the halves of two threads'
 * lines are never put together. */
#include "worker/wsgi/wsgi_errors.h"

#include <pthread.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/log.h"
#include "worker/wsgi/wsgi_state.h"

/* A line without an end is written when it gets longer. */
#define LINE_MAX_BYTES (32u << 10)

struct errors {
    PyObject_HEAD struct buf line; /* without end */
    pthread_t of;    /* the thread that writes it */
};

static void end_line(struct errors *e)
{
    if (!buf_len(&e->line))
        return;
    log_error("%.*s", (int)buf_len(&e->line), buf_span(&e->line).p);
    buf_release(&e->line);
}

static int add_text(struct errors *e, struct span text)
{
    if (buf_len(&e->line) && !pthread_equal(e->of, pthread_self()))
        end_line(e);
    e->of = pthread_self();
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        if (n > LINE_MAX_BYTES)
            n = LINE_MAX_BYTES, end = NULL;
        if (buf_add(&e->line, text.p, n) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        if (end || buf_len(&e->line) >= LINE_MAX_BYTES)
            end_line(e);
        n += end != NULL;
        text.p += n;
        text.n -= n;
    }
    return 0;
}

static int add_object(PyObject *self, PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "wsgi.errors takes str, not %s", Py_TYPE(text)->tp_name);
        return -1;
    }
    PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (!bytes)
        return -1;
    int r = add_text((struct errors *)self, (struct span){ PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes) });
    Py_DECREF(bytes);
    return r;
}

static PyObject *errors_write(PyObject *self, PyObject *text)
{
    return add_object(self, text) < 0 ? NULL : PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *errors_writelines(PyObject *self, PyObject *lines)
{
    PyObject *iterator = PyObject_GetIter(lines), *line;
    while (iterator && (line = PyIter_Next(iterator))) {
        if (add_object(self, line) < 0)
            Py_CLEAR(iterator);
        Py_DECREF(line);
    }
    Py_XDECREF(iterator);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *errors_flush(PyObject *self, PyObject *unused)
{
    end_line((struct errors *)self);
    Py_RETURN_NONE;
}

static PyObject *errors_close(PyObject *self, PyObject *unused)
{
    return errors_flush(self, unused);
}

static PyObject *errors_isatty(PyObject *self, PyObject *unused)
{
    Py_RETURN_FALSE;
}

static PyObject *errors_writable(PyObject *self, PyObject *unused)
{
    Py_RETURN_TRUE;
}

static void errors_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    end_line((struct errors *)self);
    buf_release(&((struct errors *)self)->line);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef errors_methods[] = {
    { "write", errors_write, METH_O, "write(text)\n--\n\nWrites to the error log, by the line." },
    { "writelines", errors_writelines, METH_O, "writelines(lines)\n--\n\nwrite() for each." },
    { "flush", errors_flush, METH_NOARGS, "flush()\n--\n\nEnds the line." },
    { "close", errors_close, METH_NOARGS, "close()\n--\n\nEnds the line; the stream stays open." },
    { "isatty", errors_isatty, METH_NOARGS, "isatty()\n--\n\nFalse." },
    { "writable", errors_writable, METH_NOARGS, "writable()\n--\n\nTrue." },
    { 0 },
};

static PyType_Slot errors_slots[] = {
    { Py_tp_dealloc, errors_dealloc },
    { Py_tp_methods, errors_methods },
    { 0 },
};

static PyType_Spec errors_spec = {
    .name = "tine.ErrorLog",
    .basicsize = sizeof(struct errors),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = errors_slots,
};

int wsgi_errors_init(struct wsgi *wsgi)
{
    wsgi->errors_type = (PyTypeObject *)PyType_FromSpec(&errors_spec);
    return wsgi->errors_type ? 0 : -1;
}

PyObject *wsgi_errors_new(struct wsgi *wsgi)
{
    struct errors *e = PyObject_New(struct errors, wsgi->errors_type);
    if (e)
        e->line = (struct buf){ 0 };
    return (PyObject *)e;
}
