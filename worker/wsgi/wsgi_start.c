/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_start.c: see wsgi_start.h. Judges the head as PEP 3333 wants it, while the application can still be given an
 * exception; sends nothing: the head leaves with the first bytes of the body. */
#include "worker/wsgi/wsgi_start.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <structmember.h>

#include "common/log.h"
#include "worker/app/app_report.h"
#include "worker/http/own_fields.h"
#include "worker/http/resp.h"
#include "worker/python/fork_child.h"
#include "worker/wsgi/wsgi_body.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_state.h"

#define NUMBER_ROOM 24

struct start {
    PyObject_HEAD vectorcallfunc call_me;
    struct wsgi_call *call;
};

/* A reason is cut to so much. */
#define REASON_MAX 250

/* --- status and headers --- */

static int read_status(PyObject *status, unsigned *ret)
{
    if (!PyUnicode_Check(status)) {
        PyErr_Format(PyExc_TypeError, "status must be str, not %s", Py_TYPE(status)->tp_name);
        return -1;
    }
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(status) < 0)
        return -1;
#endif
    unsigned code = 0;
    Py_ssize_t n = PyUnicode_GET_LENGTH(status);
    for (Py_ssize_t i = 0; i < 3 && n >= 3; i++) {
        Py_UCS4 ch = PyUnicode_READ_CHAR(status, i);
        code = ch >= '0' && ch <= '9' ? code * 10 + (ch - '0') : 10000;
    }
    if (code < 200 || code > 999 || (n > 3 && PyUnicode_READ_CHAR(status, 3) != ' ')) {
        PyErr_Format(PyExc_ValueError, "status must be three digits from 200 and a reason, not %R", status);
        return -1;
    }
    *ret = code;
    return 0;
}

/* The text after the code, in `room`; n = 0: the registered one will do, because it is that, or has characters that the
 * wire does not have (RFC 9112 4). */
static struct span read_reason(PyObject *status, unsigned code, char room[REASON_MAX])
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(status) - 4;
    const char *registered = resp_reason(code);
    bool same = n >= 0 && (size_t)n == strlen(registered);
    const struct span none = { room, 0 };
    if (n > REASON_MAX)
        n = REASON_MAX;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_UCS4 ch = PyUnicode_READ_CHAR(status, i + 4);
        if ((ch < 0x20 && ch != '\t') || ch == 0x7f || ch > 0xff)
            return none;
        same = same && (char)ch == registered[i];
        room[i] = (char)ch;
    }
    return same || n < 0 ? none : (struct span){ room, (size_t)n };
}

/* Of the application's connection to the server, not of its response: what these say is the server's to decide. */
static bool is_hop_by_hop(struct span name)
{
    enum own_field own = own_field_of(name);
    return own == OWN_CONNECTION || own == OWN_UPGRADE || own == OWN_HOP_BY_HOP;
}

/* "/srv/shop/views.py:12": who called start_response(); "" if that is not known. */
static void caller_name(char *to, size_t n)
{
    PyFrameObject *frame = PyEval_GetFrame();
    PyCodeObject *code = frame ? PyFrame_GetCode(frame) : NULL;
    PyObject *file = code ? PyObject_GetAttrString((PyObject *)code, "co_filename") : NULL;
    const char *name = file ? PyUnicode_AsUTF8(file) : NULL;
    *to = 0;
    if (name)
        snprintf(to, n, " at %s:%d", name, PyFrame_GetLineNumber(frame));
    PyErr_Clear();
    Py_XDECREF(file);
    Py_XDECREF(code);
}

/* PEP 3333 forbids them, and every server that refuses them breaks applications: once a worker is told. */
static void warn_hop_by_hop(struct wsgi_call *c, const struct resp_field *f)
{
    char line[APP_DESCRIPTION], where[500];
    if (c->wsgi->warned_hop_by_hop)
        return;
    c->wsgi->warned_hop_by_hop = true;
    wsgi_call_describe(c, line, sizeof line);
    caller_name(where, sizeof where);
    log_warning("the application gave start_response() the header %.*s%s, which is the server's (PEP 3333): it is left "
                "out, and "
                "this is not logged again: %s",
                (int)(f->name.n < 40 ? f->name.n : 40), f->name.p, where, line);
}

/* Of a str of latin-1 characters, as it lies in the object. */
static int text_span(PyObject *text, const char *what, struct span *ret)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "a header's %s must be str, not %s", what, Py_TYPE(text)->tp_name);
        return -1;
    }
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(text) < 0)
        return -1;
#endif
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        PyErr_Format(PyExc_ValueError, "a header's %s must be latin-1: %R", what, text);
        return -1;
    }
    *ret = (struct span){ (const char *)PyUnicode_1BYTE_DATA(text), (size_t)PyUnicode_GET_LENGTH(text) };
    return 0;
}

static int pair_field(struct wsgi_call *c, PyObject *pair, struct resp_field *f)
{
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_TypeError, "each header must be a (name, value) tuple, not %R", pair);
        return -1;
    }
    if (text_span(PyTuple_GET_ITEM(pair, 0), "name", &f->name) < 0 ||
        text_span(PyTuple_GET_ITEM(pair, 1), "value", &f->value) < 0)
        return -1;
    if (!resp_field_is_good(f)) {
        PyErr_Format(PyExc_ValueError, "header name is not a token, or its value has a control character: %R", pair);
        return -1;
    }
    if (is_hop_by_hop(f->name))
        warn_hop_by_hop(c, f); /* http/own_fields.h: `close` is honoured, the rest is dropped */
    return 0;
}

/* 0 and *length, unchanged if the field is another; or -1 with an exception set. */
static int read_length(const struct resp_field *f, int64_t *length)
{
    if (f->name.n != 14 || !span_ieq(f->name, SPAN("content-length")))
        return 0;
    int64_t n = resp_read_length(f->value);
    if (n >= 0 && (*length < 0 || *length == n)) {
        *length = n;
        return 0;
    }
    PyErr_Format(PyExc_ValueError, n < 0 ? "Content-Length is not a number" : "two different Content-Length headers");
    return -1;
}

static char *put_span(char *to, struct span *s)
{
    memcpy(to, s->p, s->n);
    s->p = to;
    return to + s->n;
}

/* One block: the answer, its fields with room for one more, their bytes. */
static struct wsgi_answer *answer_new(struct wsgi_call *c, unsigned status, struct span reason, PyObject *headers)
{
    size_t n = (size_t)PyList_GET_SIZE(headers), bytes = reason.n;
    struct resp_field small[32], *fields = n <= 32 ? small : PyMem_New(struct resp_field, n);
    struct wsgi_answer *a = NULL;
    int64_t length = -1;
    if (!fields)
        goto no_memory;
    for (size_t i = 0; i < n; i++) {
        if (pair_field(c, PyList_GET_ITEM(headers, (Py_ssize_t)i), &fields[i]) < 0 ||
            read_length(&fields[i], &length) < 0)
            goto out;
        bytes += fields[i].name.n + fields[i].value.n;
    }
    if (!(a = malloc(sizeof *a + (n + 1) * sizeof *fields + bytes + NUMBER_ROOM)))
        goto no_memory;
    *a = (struct wsgi_answer){ .status = status, .length = length, .n = n, .fields = (struct resp_field *)(a + 1) };
    a->spare = (char *)(a->fields + n + 1);
    memcpy(a->fields, fields, n * sizeof *fields);
    for (size_t i = 0; i < n; i++) {
        a->spare = put_span(a->spare, &a->fields[i].name);
        a->spare = put_span(a->spare, &a->fields[i].value);
    }
    a->reason = reason;
    a->spare = put_span(a->spare, &a->reason);
    goto out;
no_memory:
    PyErr_NoMemory();
out:
    if (fields != small)
        PyMem_Free(fields);
    return a;
}

void wsgi_answer_set_length(struct wsgi_answer *a, uint64_t length)
{
    int n = snprintf(a->spare, NUMBER_ROOM, "%llu", (unsigned long long)length);
    a->fields[a->n++] = (struct resp_field){ SPAN("content-length"), { a->spare, (size_t)n } };
    a->length = (int64_t)length;
}

/* --- start_response(status, headers, exc_info=None) --- */

/* Raises the exception of exc_info again. */
static void raise_again(PyObject *info)
{
    PyObject *type = PyTuple_GET_ITEM(info, 0), *value = PyTuple_GET_ITEM(info, 1),
             *traceback = PyTuple_GET_ITEM(info, 2);
    PyErr_Restore(Py_NewRef(type), Py_NewRef(value), traceback == Py_None ? NULL : Py_NewRef(traceback));
}

static int check_exc_info(struct wsgi_call *c, PyObject *info)
{
    if (info && info != Py_None) {
        if (!PyTuple_Check(info) || PyTuple_GET_SIZE(info) != 3 || !PyExceptionClass_Check(PyTuple_GET_ITEM(info, 0))) {
            PyErr_SetString(PyExc_TypeError, "exc_info must be what sys.exc_info() returned for an exception");
            return -1;
        }
        if (!c->head_sent)
            return 0;
        raise_again(info);
        return -1;
    }
    if (!c->answered)
        return 0;
    PyErr_SetString(PyExc_AssertionError, "start_response() was called again without exc_info");
    return -1;
}

static PyObject *start_response(struct start *self, PyObject *status, PyObject *headers, PyObject *info)
{
    struct wsgi_call *c = self->call;
    unsigned code;
    char room[REASON_MAX];
    if (fork_child_refuse("the response is") < 0)
        return NULL;
    if (c->finished) {
        PyErr_SetString(PyExc_RuntimeError, "start_response() was called after the end of the request");
        return NULL;
    }
    if (check_exc_info(c, info) < 0 || read_status(status, &code) < 0)
        return NULL;
    if (!PyList_Check(headers)) {
        PyErr_Format(PyExc_TypeError, "headers must be a list, not %s", Py_TYPE(headers)->tp_name);
        return NULL;
    }
    struct wsgi_answer *answer = answer_new(c, code, read_reason(status, code, room), headers);
    if (!answer)
        return NULL;
    free(c->answer);
    c->answer = answer;
    c->answered = true;
    return PyObject_GetAttr((PyObject *)self, c->wsgi->names.write);
}

static int take_keywords(PyObject **values, PyObject *const *args, PyObject *names)
{
    static const char *const known[] = { "status", "response_headers", "exc_info" };
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        int k = 0;
        while (k < 3 && PyUnicode_CompareWithASCIIString(name, known[k]))
            k++;
        if (k == 1 + 2 && !PyUnicode_CompareWithASCIIString(name, "headers"))
            k = 1;
        if (k == 3 || values[k]) {
            PyErr_Format(PyExc_TypeError, "start_response() got an unexpected or repeated argument %R", name);
            return -1;
        }
        values[k] = args[i];
    }
    return 0;
}

static PyObject *start_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    PyObject *values[3] = { NULL, NULL, NULL };
    Py_ssize_t n = PyVectorcall_NARGS(flags);
    for (Py_ssize_t i = 0; i < n && i < 3; i++)
        values[i] = args[i];
    if (names && n <= 3 && take_keywords(values, args + n, names) < 0)
        return NULL;
    if (n > 3 || !values[0] || !values[1]) {
        PyErr_SetString(PyExc_TypeError, "start_response() takes status, headers and perhaps exc_info");
        return NULL;
    }
    return start_response((struct start *)self, values[0], values[1], values[2]);
}

static PyObject *start_write(PyObject *self, PyObject *data)
{
    struct wsgi_call *c = ((struct start *)self)->call;
    if (fork_child_refuse("the response is") < 0)
        return NULL;
    if (c->finished) {
        PyErr_SetString(PyExc_RuntimeError, "write() was called after the end of the request");
        return NULL;
    }
    if (wsgi_body_write(c, data) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static void start_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    wsgi_call_unref(((struct start *)self)->call);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef start_methods[] = {
    { "write", start_write, METH_O, "write(data)\n--\n\nSends bytes of the body." },
    { 0 },
};

static PyMemberDef start_members[] = {
    { "__vectorcalloffset__", T_PYSSIZET, offsetof(struct start, call_me), READONLY, NULL },
    { 0 },
};

static PyType_Slot start_slots[] = {
    { Py_tp_dealloc, start_dealloc },
    { Py_tp_call, PyVectorcall_Call },
    { Py_tp_methods, start_methods },
    { Py_tp_members, start_members },
    { 0 },
};

static PyType_Spec start_spec = {
    .name = "tine.StartResponse",
    .basicsize = sizeof(struct start),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = start_slots,
};

int wsgi_start_init(struct wsgi *wsgi)
{
    wsgi->start_type = (PyTypeObject *)PyType_FromSpec(&start_spec);
    return wsgi->start_type ? 0 : -1;
}

PyObject *wsgi_start_new(struct wsgi_call *c)
{
    struct start *start = PyObject_New(struct start, c->wsgi->start_type);
    if (!start)
        return NULL;
    start->call_me = start_call;
    start->call = wsgi_call_ref(c);
    return (PyObject *)start;
}
