/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ext.c: see asgi_ext.h. Files go out by sendfile(2); nothing of them is read here. */
#include "worker/asgi/asgi_ext.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "worker/asgi/asgi_fields.h"
#include "worker/asgi/asgi_http.h"
#include "worker/asgi/asgi_state.h"
#include "worker/http/resp.h"

static int in_body(const struct exchange *x, const char *what)
{
    if (x->stage == EXCHANGE_BODY)
        return 0;
    PyErr_Format(PyExc_RuntimeError, "%s was sent %s", what,
                 x->stage == EXCHANGE_HEAD ? "before http.response.start" : "after the body");
    return -1;
}

void asgi_ext_file_done(struct exchange *x)
{
    fd_close(&x->file_fd);
    Py_CLEAR(x->file);
}

static enum channel_result send_file(struct exchange *x, int fd, off_t at, size_t n, bool more)
{
    if (!more)
        x->stage = x->trailers ? EXCHANGE_TRAILERS : EXCHANGE_COMPLETE;
    enum resp_result result = x->req ? resp_file(x->req, fd, at, n, more) : RESP_GONE;
    if (result != RESP_LATER)
        asgi_ext_file_done(x);
    return exchange_result(x, (int)result);
}

enum channel_result asgi_ext_pathsend(struct exchange *x, PyObject *message)
{
    PyObject *path, *bytes;
    if (in_body(x, "http.response.pathsend") < 0)
        return CHANNEL_ERROR;
    path = PyDict_GetItemString(message, "path");
    if (!path) {
        PyErr_SetString(PyExc_TypeError, "http.response.pathsend needs \"path\"");
        return CHANNEL_ERROR;
    }
    if (!PyUnicode_FSConverter(path, &bytes))
        return CHANNEL_ERROR;
    struct stat st;
    int fd = open(PyBytes_AS_STRING(bytes), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    Py_DECREF(bytes);
    if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && (errno = EINVAL))) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        fd_close(&fd);
        return CHANNEL_ERROR;
    }
    x->file_fd = fd;
    return send_file(x, fd, 0, (size_t)st.st_size, false);
}

/* A non-negative int of the message; -1 if absent or None; -2 with an exception set. */
static long long optional_size(PyObject *message, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(message, key);
    if (!value)
        return PyErr_Occurred() ? -2 : -1;
    if (value == Py_None)
        return -1;
    long long n = PyLong_AsLongLong(value);
    if (n < 0 && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "\"%U\" must not be negative", key);
    return n < 0 ? -2 : n;
}

/* Where to begin and how much to send: from the message, else from the file's position to its end.
 */
static int file_range(PyObject *message, const struct asgi_names *names, int fd, off_t *ret_at, size_t *ret_n)
{
    struct stat st;
    long long at = optional_size(message, names->offset), n = optional_size(message, names->count);
    if (at == -2 || n == -2)
        return -1;
    if (fstat(fd, &st) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        PyErr_SetString(PyExc_ValueError, "\"file\" must be a regular file");
        return -1;
    }
    bool moves = at == -1;
    if (moves && (at = lseek(fd, 0, SEEK_CUR)) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if (n == -1)
        n = at < st.st_size ? st.st_size - at : 0;
    if (moves) /* as os.sendfile() without an offset does: the next message goes on behind this one
                */
        lseek(fd, (off_t)(at + n), SEEK_SET);
    *ret_at = (off_t)at;
    *ret_n = (size_t)n;
    return 0;
}

enum channel_result asgi_ext_zerocopysend(struct exchange *x, PyObject *message)
{
    const struct asgi_names *names = &x->channel.asgi->names;
    if (in_body(x, "http.response.zerocopysend") < 0)
        return CHANNEL_ERROR;
    PyObject *file = PyDict_GetItemWithError(message, names->file);
    PyObject *more_body = PyDict_GetItemWithError(message, names->more_body);
    if (!file) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "http.response.zerocopysend needs \"file\"");
        return CHANNEL_ERROR;
    }
    int fd = PyObject_AsFileDescriptor(file), more = more_body ? PyObject_IsTrue(more_body) : 0;
    off_t at;
    size_t n;
    if (fd < 0 || more < 0 || file_range(message, names, fd, &at, &n) < 0)
        return CHANNEL_ERROR;
    Py_XSETREF(x->file, Py_NewRef(file));
    return send_file(x, fd, at, n, more);
}

enum channel_result asgi_ext_early_hint(struct exchange *x, PyObject *message)
{
    PyObject *links = PyDict_GetItemWithError(message, x->channel.asgi->names.links);
    if (x->stage != EXCHANGE_HEAD || !links) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, links ? "http.response.early_hint was sent after http.response.start"
                                                      : "http.response.early_hint needs \"links\"");
        return CHANNEL_ERROR;
    }
    PyObject *list = PySequence_List(links);
    if (!list)
        return CHANNEL_ERROR;
    size_t n = (size_t)PyList_GET_SIZE(list);
    struct resp_field *fields = PyMem_New(struct resp_field, n ? n : 1);
    enum resp_result result = RESP_NO_MEMORY;
    for (size_t i = 0; fields && i < n; i++) {
        PyObject *link = PyList_GET_ITEM(list, (Py_ssize_t)i);
        if (!PyBytes_Check(link)) {
            PyErr_SetString(PyExc_TypeError, "\"links\" must be bytes objects");
            break;
        }
        fields[i].name = SPAN("link");
        fields[i].value = (struct span){ PyBytes_AS_STRING(link), (size_t)PyBytes_GET_SIZE(link) };
    }
    if (fields && !PyErr_Occurred())
        result = !x->req ? RESP_GONE : n ? resp_interim(x->req, 103, fields, n) : RESP_SENT;
    PyMem_Free(fields);
    Py_DECREF(list);
    return PyErr_Occurred() ? CHANNEL_ERROR : exchange_result(x, (int)result);
}

enum channel_result asgi_ext_trailers(struct exchange *x, PyObject *message)
{
    const struct asgi_names *names = &x->channel.asgi->names;
    if (x->stage != EXCHANGE_TRAILERS) {
        PyErr_SetString(PyExc_RuntimeError, x->trailers ? "http.response.trailers was sent before the end of the body"
                                                        : "http.response.start did not announce trailers");
        return CHANNEL_ERROR;
    }
    PyObject *more_trailers = PyDict_GetItemWithError(message, names->more_trailers);
    int more = more_trailers ? PyObject_IsTrue(more_trailers) : 0;
    struct resp_field small[8], *fields;
    size_t n;
    PyObject *keep;
    if (more < 0 || asgi_fields(PyDict_GetItemWithError(message, names->headers), small, 8, &fields, &n, &keep) < 0)
        return CHANNEL_ERROR;
    enum resp_result result = x->req ? resp_trailers(x->req, fields, n, more) : RESP_GONE;
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
    if (!more && (result == RESP_SENT || result == RESP_LATER))
        x->stage = EXCHANGE_COMPLETE;
    return exchange_result(x, (int)result);
}
