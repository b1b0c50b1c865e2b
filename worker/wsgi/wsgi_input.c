/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_input.c: see wsgi_input.h. The two sides meet in `in` of struct wsgi_call, under the pool's lock. */
#include "worker/wsgi/wsgi_input.h"

#include <limits.h>

#include "worker/net/conn.h"
#include "worker/python/fork_child.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_greenlet.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_state.h"

/* A first guess at how much will come; it doubles. */
#define FIRST_SIZE (16u << 10)
#define SPOOL_PIECE (64u << 10)

struct input {
    PyObject_HEAD struct wsgi_call *call;
};

/* --- the loop's side --- */

void wsgi_input_weigh(struct wsgi_call *c)
{
    wsgi_pool_lock(c->wsgi->pool);
    size_t n = c->in.cap;
    wsgi_pool_unlock(c->wsgi->pool);
    conn_keep(c->req->conn, &c->kept, n);
}

void wsgi_input_feed(struct wsgi_call *c)
{
    struct req *r = c->req;
    if (!r)
        return;
    bool ended = req_body_ended(r), more, enough;
    size_t high = memory_is_busy(&r->conn->net->memory) ? WSGI_READ_AHEAD_BUSY : WSGI_READ_AHEAD;
    wsgi_pool_lock(c->wsgi->pool);
    if (req_body_move(r, &c->in) < 0)
        c->gone = c->broken = true;
    more = !ended && !c->gone && buf_len(&c->in) < high;
    c->in_high = high;
    c->in_ended = ended;
    c->in_asked = more;
    enough = buf_len(&c->in) >= high / 2 || !more;
    if (enough)
        pthread_cond_broadcast(&c->changed);
    bool some = buf_len(&c->in) > 0;
    wsgi_pool_unlock(c->wsgi->pool);
    if (some && !enough)
        wsgi_pool_wake_reader(c);
    wsgi_greenlet_wake_all(c); /* in the hub's next round, when more may have come */
    wsgi_input_weigh(c);
    c->wants_body = more;
    if (ended)
        wsgi_pool_stream_ends(c);
    req_body_moved(r);
    if (c->req && c->wants_body)
        req_body_want(r); /* wsgi.c's on_body comes back here */
}

/* --- the application's side --- */

/* Lock held. Once the application has ended, the loop must not be asked any more: it drops its reference to the call. */
static bool lacks_bytes(const struct wsgi_call *c)
{
    return !buf_len(&c->in) && !c->in_ended && !c->gone && !c->finished;
}

static bool must_wait(struct wsgi_call *c)
{
    wsgi_pool_lock(c->wsgi->pool);
    bool must = lacks_bytes(c);
    wsgi_pool_unlock(c->wsgi->pool);
    return must;
}

/* The loop is told once. Lock held, which is released meanwhile. */
static void ask(struct wsgi_call *c)
{
    if (c->in_asked)
        return;
    c->in_asked = true;
    wsgi_pool_unlock(c->wsgi->pool);
    wsgi_pool_ask_body(c);
    wsgi_pool_lock(c->wsgi->pool);
}

/* Waits until there are bytes or the end. Lock held; it and the GIL are released meanwhile. */
static void wait_in_thread(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    ask(c);
    wsgi_pool_unlock(pool);
    Py_BEGIN_ALLOW_THREADS wsgi_pool_lock(pool);
    while (!buf_len(&c->in) && !c->in_ended && !c->gone)
        wsgi_pool_wait(pool, &c->changed);
    wsgi_pool_unlock(pool);
    Py_END_ALLOW_THREADS wsgi_pool_lock(pool);
}

/* A greenlet waits for the same in the hub; something else, such as a finalizer, would wait for itself. Lock held, which
 * is released meanwhile. 0, or -1 with an exception set. */
static int wait_in_loop_thread(struct wsgi_call *c)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    int result = -1;
    wsgi_pool_unlock(pool);
    if (!wsgi_greenlet_may_wait(c->wsgi)) {
        PyErr_SetString(PyExc_RuntimeError, "wsgi.input has to wait for the client, and the thread of the server's "
                                            "event loop cannot");
    } else {
        wsgi_pool_lock(pool);
        ask(c);
        wsgi_pool_unlock(pool);
        result = wsgi_greenlet_wait(c, must_wait);
    }
    wsgi_pool_lock(pool);
    return result;
}

/* Lock held, which is released meanwhile. 0, or -1 with an exception set. */
static int wait_for_bytes(struct wsgi_call *c)
{
    if (wsgi_pool_is_loop(c->wsgi->pool))
        return wait_in_loop_thread(c);
    wait_in_thread(c);
    return 0;
}

/* The body's first part lies in a file, before `in`, of which the loop knows nothing until it is asked for more. 0, or -1
 * with an exception set. */
static int load_spooled(struct wsgi_call *c)
{
    size_t left = wsgi_spool_left(&c->body), n = left < SPOOL_PIECE ? left : SPOOL_PIECE;
    char *to = buf_room(&c->in, n);
    ssize_t k = to ? wsgi_spool_read(&c->body, to, n) : 0;
    if (!to) {
        PyErr_NoMemory();
        return -1;
    }
    if (k < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    buf_grew(&c->in, (size_t)k);
    if (!wsgi_spool_left(&c->body))
        wsgi_spool_drop(c->wsgi, &c->body);
    return 0;
}

/* Up to `most` bytes, at least one if there are any, of a line none after its end. 0 at the end of the body; -1 with
 * an exception set. */
static Py_ssize_t take_some(struct wsgi_call *c, char *to, size_t most, bool line)
{
    struct wsgi_pool *pool = c->wsgi->pool;
    if (wsgi_spool_left(&c->body) && !buf_len(&c->in) && load_spooled(c) < 0)
        return -1;
    wsgi_pool_lock(pool);
    while (lacks_bytes(c)) {
        if (wait_for_bytes(c) < 0) {
            wsgi_pool_unlock(pool);
            return -1;
        }
    }
    size_t n = buf_len(&c->in) < most ? buf_len(&c->in) : most;
    const char *from = buf_span(&c->in).p, *end = line && n ? memchr(from, '\n', n) : NULL;
    if (end)
        n = (size_t)(end - from) + 1;
    if (n)
        memcpy(to, from, n);
    buf_take(&c->in, n);
    bool cut = !n && !c->in_ended, broken = c->broken;
    bool ask = !c->in_asked && !c->in_ended && !c->gone && !c->finished && !wsgi_spool_left(&c->body) &&
               buf_len(&c->in) <= c->in_high / 2;
    c->in_asked |= ask;
    wsgi_pool_unlock(pool);
    if (ask)
        wsgi_pool_ask_body(c);
    if (!cut)
        return (Py_ssize_t)n;
    PyErr_SetString(c->wsgi->gone_error, broken ? "the client went away before the end of the request's body"
                                                : "the request is over; the rest of its body was thrown away");
    return -1;
}

/* How much the next read will get without waiting; more if more may come. At least 1. */
static Py_ssize_t expected(struct wsgi_call *c, bool line)
{
    wsgi_pool_lock(c->wsgi->pool);
    struct span s = buf_span(&c->in);
    const char *end = line && s.n ? memchr(s.p, '\n', s.n) : NULL;
    size_t n = end ? (size_t)(end - s.p) + 1 : s.n;
    if (!line)
        n += wsgi_spool_left(&c->body);
    if (!end && !c->in_ended && n < FIRST_SIZE)
        n = FIRST_SIZE;
    wsgi_pool_unlock(c->wsgi->pool);
    return n ? (Py_ssize_t)n : 1;
}

/* `most` bytes, fewer at the end of the body, or a line of at most so many; `most` < 0: no limit. */
static PyObject *take_all(struct wsgi_call *c, Py_ssize_t most, bool line)
{
    if (fork_child_refuse("the request's body is") < 0)
        return NULL;
    Py_ssize_t limit = most < 0 ? PY_SSIZE_T_MAX : most;
    Py_ssize_t size = expected(c, line), n = 0;
    if (size > limit)
        size = limit;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    while (bytes && n < limit) {
        if (n == size) {
            size = limit - size > size ? size * 2 : limit;
            if (_PyBytes_Resize(&bytes, size) < 0)
                return NULL;
        }
        char *to = PyBytes_AS_STRING(bytes) + n;
        Py_ssize_t got = take_some(c, to, (size_t)(size - n), line);
        if (got < 0) {
            Py_DECREF(bytes);
            return NULL;
        }
        n += got;
        if (!got || (line && to[got - 1] == '\n'))
            break;
    }
    if (bytes && n < size)
        _PyBytes_Resize(&bytes, n);
    return bytes;
}

/* The optional size of read(), readline(), readlines(): None and negative mean no limit. -2: exception set. */
static Py_ssize_t size_argument(const char *method, PyObject *const *args, Py_ssize_t n)
{
    if (n > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)", method, n);
        return -2;
    }
    if (n == 0 || args[0] == Py_None)
        return -1;
    Py_ssize_t size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred())
        return -2;
    return size < 0 ? -1 : size;
}

static PyObject *input_read(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    Py_ssize_t size = size_argument("read", args, n);
    return size == -2 ? NULL : take_all(((struct input *)self)->call, size, false);
}

static PyObject *input_readline(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    Py_ssize_t size = size_argument("readline", args, n);
    return size == -2 ? NULL : take_all(((struct input *)self)->call, size, true);
}

/* The next line; NULL without an exception at the end. */
static PyObject *input_next(PyObject *self)
{
    PyObject *line = take_all(((struct input *)self)->call, -1, true);
    if (line && !PyBytes_GET_SIZE(line))
        Py_CLEAR(line);
    return line;
}

static PyObject *input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    Py_ssize_t hint = size_argument("readlines", args, n), have = 0;
    PyObject *list = hint == -2 ? NULL : PyList_New(0), *line;
    while (list && (hint <= 0 || have < hint) && (line = input_next(self))) {
        have += PyBytes_GET_SIZE(line);
        if (PyList_Append(list, line) < 0)
            Py_CLEAR(list);
        Py_DECREF(line);
    }
    if (PyErr_Occurred())
        Py_CLEAR(list);
    return list;
}

static PyObject *input_close(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE; /* the server's to close; io.BufferedReader and such call it */
}

static PyObject *input_true(PyObject *self, PyObject *unused)
{
    Py_RETURN_TRUE;
}

static void input_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    wsgi_call_unref(((struct input *)self)->call);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef input_methods[] = {
    { "read", (PyCFunction)(void (*)(void))input_read, METH_FASTCALL,
      "read(size=-1)\n--\n\nThat many bytes of the body, fewer only at its end." },
    { "readline", (PyCFunction)(void (*)(void))input_readline, METH_FASTCALL,
      "readline(size=-1)\n--\n\nThe next line with its end." },
    { "readlines", (PyCFunction)(void (*)(void))input_readlines, METH_FASTCALL,
      "readlines(hint=-1)\n--\n\nA list of lines, of about that many bytes." },
    { "close", input_close, METH_NOARGS, "close()\n--\n\nDoes nothing." },
    { "readable", input_true, METH_NOARGS, "readable()\n--\n\nTrue." },
    { 0 },
};

static PyType_Slot input_slots[] = {
    { Py_tp_dealloc, input_dealloc },
    { Py_tp_methods, input_methods },
    { Py_tp_iter, PyObject_SelfIter },
    { Py_tp_iternext, input_next },
    { 0 },
};

static PyType_Spec input_spec = {
    .name = "tine.Input",
    .basicsize = sizeof(struct input),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = input_slots,
};

int wsgi_input_init(struct wsgi *wsgi)
{
    wsgi->input_type = (PyTypeObject *)PyType_FromSpec(&input_spec);
    return wsgi->input_type ? 0 : -1;
}

PyObject *wsgi_input_new(struct wsgi_call *c)
{
    struct input *input = PyObject_New(struct input, c->wsgi->input_type);
    if (input)
        input->call = wsgi_call_ref(c);
    return (PyObject *)input;
}
