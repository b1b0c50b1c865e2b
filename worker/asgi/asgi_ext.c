/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ext.c: see asgi_ext.h. Files go out by sendfile(2); nothing of them is read here. */
#include "worker/asgi/asgi_ext.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "worker/asgi/asgi_exchange.h"
#include "worker/asgi/asgi_fields.h"
#include "worker/asgi/asgi_state.h"
#include "worker/http/resp.h"

/* Whether a file can be sent now; else *ret is the result of its send(). Asked once the message has been read. */
static bool can_send_file(struct exchange *x, const char *what, enum channel_result *ret)
{
    if (exchange_refuses(x, ret))
        return false;
    if (x->stage == EXCHANGE_BODY)
        return true;
    PyErr_Format(PyExc_RuntimeError, "%s was sent %s", what,
                 x->stage == EXCHANGE_HEAD ? "before http.response.start" : "after the body");
    *ret = CHANNEL_ERROR;
    return false;
}

void asgi_ext_file_done(struct exchange *x)
{
    fd_close(&x->file_fd);
    Py_CLEAR(x->file);
}

static enum channel_result send_file(struct exchange *x, int fd, off_t at, size_t n, bool more)
{
    if (!more)
        exchange_set_stage(x, x->trailers ? EXCHANGE_TRAILERS : EXCHANGE_COMPLETE);
    enum resp_result result = x->req ? resp_file(x->req, fd, at, n, more) : RESP_GONE;
    if (result != RESP_LATER)
        asgi_ext_file_done(x);
    return exchange_result(x, result);
}

/* A regular file, opened; -1 with an exception set. */
static int open_path(PyObject *path, size_t *ret_size)
{
    PyObject *bytes;
    if (!PyUnicode_FSConverter(path, &bytes))
        return -1;
    struct stat st;
    int fd = open(PyBytes_AS_STRING(bytes), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    Py_DECREF(bytes);
    if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && (errno = EINVAL))) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        fd_close(&fd);
        return -1;
    }
    *ret_size = (size_t)st.st_size;
    return fd;
}

enum channel_result asgi_ext_pathsend(struct exchange *x, PyObject *message)
{
    PyObject *path = PyDict_GetItemString(message, "path");
    if (!path) {
        PyErr_SetString(PyExc_TypeError, "http.response.pathsend needs \"path\"");
        return CHANNEL_ERROR;
    }
    size_t size = 0;
    Py_INCREF(path);
    int fd = open_path(path, &size);
    Py_DECREF(path);
    enum channel_result refused = CHANNEL_ERROR;
    if (fd < 0 || !can_send_file(x, "http.response.pathsend", &refused)) {
        fd_close(&fd);
        return refused;
    }
    x->file_fd = fd;
    return send_file(x, fd, 0, size, false);
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
    if (moves) /* as os.sendfile() without an offset does: the next message continues after this one */
        lseek(fd, (off_t)(at + n), SEEK_SET);
    *ret_at = (off_t)at;
    *ret_n = (size_t)n;
    return 0;
}

static enum channel_result send_opened(struct exchange *x, PyObject *message, PyObject *file)
{
    const struct asgi_names *names = &x->channel.asgi->names;
    int fd = PyObject_AsFileDescriptor(file), more = fd < 0 ? -1 : asgi_flag(message, names->more_body);
    off_t at;
    size_t n;
    if (more < 0 || file_range(message, names, fd, &at, &n) < 0)
        return CHANNEL_ERROR;
    enum channel_result refused;
    if (!can_send_file(x, "http.response.zerocopysend", &refused))
        return refused;
    x->file = Py_NewRef(file);
    return send_file(x, fd, at, n, more);
}

enum channel_result asgi_ext_zerocopysend(struct exchange *x, PyObject *message)
{
    PyObject *file = PyDict_GetItemWithError(message, x->channel.asgi->names.file);
    if (!file) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "http.response.zerocopysend needs \"file\"");
        return CHANNEL_ERROR;
    }
    Py_INCREF(file);
    enum channel_result result = send_opened(x, message, file);
    Py_DECREF(file);
    return result;
}

/* The links lie in a list of ours; `fields` has room for them. */
static int link_fields(PyObject *list, struct resp_field *fields)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *link = PyList_GET_ITEM(list, i);
        if (!PyBytes_Check(link)) {
            PyErr_SetString(PyExc_TypeError, "\"links\" must be bytes objects");
            return -1;
        }
        fields[i].name = SPAN("link");
        fields[i].value = (struct span){ PyBytes_AS_STRING(link), (size_t)PyBytes_GET_SIZE(link) };
    }
    return 0;
}

static enum channel_result send_links(struct exchange *x, const struct resp_field *fields, size_t n)
{
    enum channel_result refused;
    if (exchange_refuses(x, &refused))
        return refused;
    if (x->stage != EXCHANGE_HEAD) {
        PyErr_SetString(PyExc_RuntimeError, "http.response.early_hint was sent after http.response.start");
        return CHANNEL_ERROR;
    }
    return exchange_result(x, n ? resp_interim(x->req, 103, fields, n) : RESP_SENT);
}

enum channel_result asgi_ext_early_hint(struct exchange *x, PyObject *message)
{
    PyObject *links = Py_XNewRef(PyDict_GetItemWithError(message, x->channel.asgi->names.links));
    if (!links) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "http.response.early_hint needs \"links\"");
        return CHANNEL_ERROR;
    }
    PyObject *list = PySequence_List(links);
    Py_DECREF(links);
    if (!list)
        return CHANNEL_ERROR;
    size_t n = (size_t)PyList_GET_SIZE(list);
    struct resp_field *fields = PyMem_New(struct resp_field, n ? n : 1);
    enum channel_result result = CHANNEL_ERROR;
    if (!fields)
        PyErr_NoMemory();
    else if (link_fields(list, fields) == 0)
        result = send_links(x, fields, n);
    PyMem_Free(fields);
    Py_DECREF(list);
    return result;
}

static enum channel_result send_trailers(struct exchange *x, const struct resp_field *fields, size_t n, bool more)
{
    enum channel_result refused;
    if (exchange_refuses(x, &refused))
        return refused;
    if (x->stage != EXCHANGE_TRAILERS) {
        PyErr_SetString(PyExc_RuntimeError, x->trailers ? "http.response.trailers was sent before the end of the body"
                                                        : "http.response.start did not announce trailers");
        return CHANNEL_ERROR;
    }
    enum resp_result result = resp_trailers(x->req, fields, n, more);
    if (!more && (result == RESP_SENT || result == RESP_LATER))
        exchange_set_stage(x, EXCHANGE_COMPLETE);
    return exchange_result(x, result);
}

enum channel_result asgi_ext_trailers(struct exchange *x, PyObject *message)
{
    const struct asgi_names *names = &x->channel.asgi->names;
    int more = asgi_flag(message, names->more_trailers);
    PyObject *keep, *headers = more < 0 ? NULL : PyDict_GetItemWithError(message, names->headers);
    struct resp_field small[8], *fields;
    size_t n;
    if (more < 0 || (!headers && PyErr_Occurred()) || asgi_fields(headers, small, 8, &fields, &n, &keep) < 0)
        return CHANNEL_ERROR;
    enum channel_result result = send_trailers(x, fields, n, more);
    if (fields != small)
        PyMem_Free(fields);
    Py_XDECREF(keep);
    return result;
}
