/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_errors.c: see wsgi_errors.h. Buffers up to the end of a record: one stream serves all threads, and the halves of two
 * threads' lines are never put together. */
#include "worker/wsgi/wsgi_errors.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "worker/wsgi/wsgi_state.h"

/* A record without an end is written when it gets longer. */
#define RECORD_MAX_BYTES (32u << 10)
/* In so much of the first line a level is looked for: after a time, a logger's name and the like. */
#define LEVEL_WITHIN 80

struct errors {
    PyObject_HEAD struct buf record; /* what has not been written yet */
    pthread_t of; /* the thread that writes it */
    bool holds; /* writelines(): all of it is one record */
};

/* --- what a record is --- */

static struct span take_line(struct span *text)
{
    const char *end = memchr(text->p, '\n', text->n);
    struct span line = { text->p, end ? (size_t)(end - text->p) : text->n };
    size_t used = line.n + (end != NULL);
    text->p += used;
    text->n -= used;
    return line;
}

static bool begins(struct span s, struct span with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

/* A traceback goes to the stream in pieces, when traceback.print_exc() writes it; it ends with the first line that is not
 * indented. */
static bool is_open_traceback(struct span text)
{
    bool open = false;
    while (text.n) {
        struct span line = take_line(&text);
        if (begins(line, SPAN("Traceback (most recent call last)")))
            open = true;
        else if (open && line.n && line.p[0] != ' ')
            open = false;
    }
    return open;
}

/* The level that the text names, as formats of Python's logging do; without one it is an error, which the stream is for. */
static enum log_level level_of(struct span line)
{
    static const struct {
        struct span word;
        enum log_level level;
    } levels[] = {
        { SPAN("DEBUG"), LOG_LEVEL_DEBUG },     { SPAN("INFO"), LOG_LEVEL_INFO },
        { SPAN("WARNING"), LOG_LEVEL_WARNING }, { SPAN("WARN"), LOG_LEVEL_WARNING },
        { SPAN("ERROR"), LOG_LEVEL_ERROR },     { SPAN("CRITICAL"), LOG_LEVEL_CRITICAL },
        { SPAN("FATAL"), LOG_LEVEL_CRITICAL },
    };
    static const char around[] = " \t[](){}<>:,;|-=\"'/";
    size_t most = line.n < LEVEL_WITHIN ? line.n : LEVEL_WITHIN;
    for (size_t at = 0; at < most;) {
        struct span rest = { line.p + at, most - at };
        size_t n = 0;
        while (n < rest.n && !strchr(around, rest.p[n]))
            n++;
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            if (span_eq((struct span){ rest.p, n }, levels[i].word))
                return levels[i].level;
        at += n + 1;
    }
    return LOG_LEVEL_ERROR;
}

/* --- writing --- */

static void end_record(struct errors *e)
{
    struct span text = buf_span(&e->record);
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n) {
        struct span first = take_line(&text);
        char *copy = strndup(first.p, first.n);
        log_block(level_of(first), copy ? copy : "", text.p, text.n);
        free(copy);
    }
    buf_release(&e->record);
}

static bool is_complete(const struct errors *e)
{
    struct span text = buf_span(&e->record);
    return text.n >= RECORD_MAX_BYTES ||
           (text.n && text.p[text.n - 1] == '\n' && !e->holds && !is_open_traceback(text));
}

static int add_text(struct errors *e, struct span text)
{
    if (buf_len(&e->record) && !pthread_equal(e->of, pthread_self()))
        end_record(e);
    e->of = pthread_self();
    while (text.n) {
        size_t n = text.n < RECORD_MAX_BYTES ? text.n : RECORD_MAX_BYTES;
        if (buf_add(&e->record, text.p, n) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        text.p += n;
        text.n -= n;
        if (is_complete(e))
            end_record(e);
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
    struct errors *e = (struct errors *)self;
    PyObject *iterator = PyObject_GetIter(lines), *line;
    e->holds = true;
    while (iterator && (line = PyIter_Next(iterator))) {
        if (add_object(self, line) < 0)
            Py_CLEAR(iterator);
        Py_DECREF(line);
    }
    Py_XDECREF(iterator);
    e->holds = false;
    if (is_complete(e))
        end_record(e);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *errors_flush(PyObject *self, PyObject *unused)
{
    end_record((struct errors *)self);
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
    end_record((struct errors *)self);
    buf_release(&((struct errors *)self)->record);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef errors_methods[] = {
    { "write", errors_write, METH_O,
      "write(text)\n--\n\nWrites to the error log, a record for each call that ends a line." },
    { "writelines", errors_writelines, METH_O, "writelines(lines)\n--\n\nWrites all of them as one record." },
    { "flush", errors_flush, METH_NOARGS, "flush()\n--\n\nEnds the record." },
    { "close", errors_close, METH_NOARGS, "close()\n--\n\nEnds the record; the stream stays open." },
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
    if (e) {
        e->record = (struct buf){ 0 };
        e->holds = false;
    }
    return (PyObject *)e;
}
