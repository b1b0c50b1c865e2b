/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_fd.c: add_reader(), add_writer() and add_signal_handler(): libevent events whose callbacks
 * only make a handle ready; they never run it.
 *
 * libevent's structures have no lock and the GIL is released while libevent waits, so other threads
 * are refused here even outside debug mode.
 */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

#include "worker/python/loop_handle.h"
#include "worker/python/loop_priv.h"

/* The descriptor of an int or of an object with fileno(), as the selectors module takes it. */
static int descriptor(struct pyloop *loop, PyObject *file)
{
    PyObject *number = NULL;
    if (PyLong_Check(file)) {
        number = Py_NewRef(file);
    } else {
        PyObject *r = PyObject_CallMethodNoArgs(file, loop->st->name_fileno);
        number = r ? PyNumber_Long(r) : NULL;
        Py_XDECREF(r);
    }
    if (!number) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError) || PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_ValueError))
            PyErr_Format(PyExc_ValueError, "Invalid file object: %R", file);
        return -1;
    }
    int overflow;
    long fd = PyLong_AsLongAndOverflow(number, &overflow);
    if (fd == -1 && PyErr_Occurred())
        fd = -1;
    else if (fd < 0 || fd > INT_MAX || overflow)
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %S", number);
    Py_DECREF(number);
    return PyErr_Occurred() ? -1 : (int)fd;
}

static struct watch *watch_find(struct pyloop *loop, int fd)
{
    return (size_t)fd < loop->n_watches ? loop->watches[fd] : NULL;
}

static void on_ready(struct pyloop *loop, PyObject *handle)
{
    pyloop_enter(loop);
    if (handle && !handle_is_cancelled(loop->st, handle) && ready_push(loop, Py_NewRef(handle)))
        PyErr_WriteUnraisable((PyObject *)loop);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    on_ready(w->loop, w->handle[WATCH_READ]);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    on_ready(w->loop, w->handle[WATCH_WRITE]);
}

static int grow(struct pyloop *loop, int fd)
{
    size_t n = loop->n_watches ? loop->n_watches : 64;
    while (n <= (size_t)fd)
        n *= 2;
    struct watch **v = PyMem_RawRealloc(loop->watches, n * sizeof *v);
    if (!v)
        return -1;
    memset(v + loop->n_watches, 0, (n - loop->n_watches) * sizeof *v);
    loop->watches = v;
    loop->n_watches = n;
    return 0;
}

static struct watch *watch_make(struct pyloop *loop, int fd)
{
    struct watch *w = watch_find(loop, fd);
    if (w)
        return w;
    if ((size_t)fd >= loop->n_watches && grow(loop, fd))
        return (struct watch *)PyErr_NoMemory();
    w = PyMem_RawCalloc(1, sizeof *w);
    if (!w)
        return (struct watch *)PyErr_NoMemory();
    w->loop = loop;
    event_assign(&w->event[WATCH_READ], loop->base, fd, EV_READ | EV_PERSIST, on_readable, w);
    event_assign(&w->event[WATCH_WRITE], loop->base, fd, EV_WRITE | EV_PERSIST, on_writable, w);
    return loop->watches[fd] = w;
}

/* Why event_add() failed: libevent's own warning may have changed errno. epoll refuses regular
 * files. */
static void set_add_error(int fd)
{
    struct stat st;
    if (!fstat(fd, &st))
        errno = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? EPERM : ENOMEM;
    PyErr_SetFromErrno(PyExc_OSError);
}

/* A descriptor may have been closed without our knowledge and its number be another file's now: it is
 * added to libevent again even if the event is pending. */
static int watch_start(struct watch *w, int kind, int fd)
{
    struct event *event = &w->event[kind];
    if (w->handle[kind])
        event_del(event);
    if (!event_add(event, NULL))
        return 0;
    set_add_error(fd);
    return -1;
}

/* Ends what the handle (stolen, may be NULL) stood for: removed or replaced. To be done last: what it held is let go of,
 * and finalizers may call the loop. */
static int drop_handle(struct pyloop *loop, PyObject *old)
{
    int result = old ? loop_handle_cancel(loop, old) : 0;
    Py_XDECREF(old);
    return result;
}

PyObject *loop_add_watch(struct pyloop *loop, int kind, PyObject *const *args, Py_ssize_t n, PyObject *context)
{
    if (n < 2) {
        PyErr_SetString(PyExc_TypeError, "a file descriptor and a callback are required");
        return NULL;
    }
    if (loop_check_closed(loop) || loop_check_thread(loop))
        return NULL;
    int fd = descriptor(loop, args[0]); /* its fileno() may have closed the loop: asked again */
    PyObject *handle = fd < 0 ? NULL : loop_handle_new(loop, NULL, args[1], args + 2, n - 2, context);
    if (!handle)
        return NULL;
    struct watch *w = loop_check_closed(loop) ? NULL : watch_make(loop, fd);
    if (!w) {
        Py_DECREF(handle);
        return NULL;
    }
    PyObject *old = w->handle[kind];
    int failed = watch_start(w, kind, fd);
    w->handle[kind] = failed ? NULL : Py_NewRef(handle);
    failed |= drop_handle(loop, old);
    if (failed)
        Py_CLEAR(handle);
    return handle;
}

PyObject *loop_remove_watch(struct pyloop *loop, int kind, PyObject *file)
{
    if (loop->closed || !loop_is_alive(loop))
        Py_RETURN_FALSE;
    if (loop_check_thread(loop))
        return NULL;
    int fd = descriptor(loop, file);
    if (fd < 0) {
        /* A closed socket is no longer known; asking for it is no error. */
        if (!PyErr_ExceptionMatches(PyExc_ValueError))
            return NULL;
        PyErr_Clear();
        Py_RETURN_FALSE;
    }
    struct watch *w = watch_find(loop, fd);
    if (!w || !w->handle[kind])
        Py_RETURN_FALSE;
    event_del(&w->event[kind]);
    PyObject *old = w->handle[kind];
    w->handle[kind] = NULL;
    if (drop_handle(loop, old))
        return NULL;
    Py_RETURN_TRUE;
}

/* The master speaks to its workers with these, and Tine's own code acts on them. */
static bool is_server_signal(int number)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i] == number)
            return true;
    return false;
}

static int signal_number(struct pyloop *loop, PyObject *arg)
{
    if (!PyLong_Check(arg)) {
        PyErr_Format(PyExc_TypeError, "sig must be an int, not %R", arg);
        return -1;
    }
    int overflow;
    long number = PyLong_AsLongAndOverflow(arg, &overflow);
    sigset_t all;
    sigfillset(&all);
    if (overflow || number < 1 || number >= LOOP_SIGNALS || sigismember(&all, (int)number) != 1) {
        PyErr_Format(PyExc_ValueError, "invalid signal number %S", arg);
        return -1;
    }
    return (int)number;
}

static void on_loop_signal(evutil_socket_t number, short what, void *arg)
{
    struct signal_watch *w = arg;
    on_ready(w->loop, w->handle);
}

static struct signal_watch *signal_make(struct pyloop *loop, int number)
{
    struct signal_watch *w = loop->signals[number];
    if (w)
        return w;
    w = PyMem_RawCalloc(1, sizeof *w);
    if (!w)
        return (struct signal_watch *)PyErr_NoMemory();
    w->loop = loop;
    evsignal_assign(&w->event, loop->base, number, on_loop_signal, w);
    return loop->signals[number] = w;
}

PyObject *loop_add_signal(struct pyloop *loop, PyObject *const *args, Py_ssize_t n)
{
    if (n < 2) {
        PyErr_SetString(PyExc_TypeError, "a signal number and a callback are required");
        return NULL;
    }
    int number = signal_number(loop, args[0]);
    if (number < 0 || loop_check_closed(loop) || loop_check_thread(loop))
        return NULL;
    if (loop->reserves_signals && is_server_signal(number))
        return PyErr_Format(PyExc_RuntimeError, "signal %d belongs to the server: tine handles it for its workers",
                            number);
    PyObject *handle = loop_handle_new(loop, NULL, args[1], args + 2, n - 2, NULL);
    if (!handle)
        return NULL;
    struct signal_watch *w = signal_make(loop, number);
    if (!w) {
        Py_DECREF(handle);
        return NULL;
    }
    if (!w->handle && event_add(&w->event, NULL)) {
        Py_DECREF(handle);
        return PyErr_Format(PyExc_RuntimeError, "sig %d cannot be caught", number);
    }
    forked_own_signal(number);
    Py_INCREF(handle);
    Py_XSETREF(w->handle, handle);
    return handle;
}

PyObject *loop_remove_signal(struct pyloop *loop, PyObject *signal)
{
    int number = signal_number(loop, signal);
    if (number < 0 || loop_check_thread(loop))
        return NULL;
    struct signal_watch *w = loop->signals[number];
    if (!w || !w->handle || loop_is_dead(loop))
        Py_RETURN_FALSE;
    event_del(&w->event);
    Py_CLEAR(w->handle);
    Py_RETURN_TRUE;
}

PyObject *loop_watched(struct pyloop *loop)
{
    PyObject *watched = PyDict_New();
    for (size_t fd = 0; watched && fd < loop->n_watches; fd++) {
        struct watch *w = loop->watches[fd];
        if (!w || (!w->handle[WATCH_READ] && !w->handle[WATCH_WRITE]))
            continue;
        PyObject *reader = Py_NewRef(w->handle[WATCH_READ] ? w->handle[WATCH_READ] : Py_None);
        PyObject *writer = Py_NewRef(w->handle[WATCH_WRITE] ? w->handle[WATCH_WRITE] : Py_None);
        PyObject *key = PyLong_FromSize_t(fd), *handles = key ? PyTuple_Pack(2, reader, writer) : NULL;
        if (!handles || PyDict_SetItem(watched, key, handles))
            Py_CLEAR(watched);
        Py_XDECREF(handles);
        Py_XDECREF(key);
        Py_DECREF(reader);
        Py_DECREF(writer);
    }
    return watched;
}

int watches_visit(struct pyloop *loop, visitproc visit, void *arg)
{
    for (size_t i = 0; i < loop->n_watches; i++)
        if (loop->watches[i]) {
            Py_VISIT(loop->watches[i]->handle[WATCH_READ]);
            Py_VISIT(loop->watches[i]->handle[WATCH_WRITE]);
        }
    for (int i = 0; i < LOOP_SIGNALS; i++)
        if (loop->signals[i])
            Py_VISIT(loop->signals[i]->handle);
    return 0;
}

static void watch_free(struct watch *w)
{
    if (!w)
        return;
    for (int kind = WATCH_READ; kind <= WATCH_WRITE; kind++) {
        if (w->handle[kind])
            event_del(&w->event[kind]);
        Py_CLEAR(w->handle[kind]);
    }
    PyMem_RawFree(w);
}

void watches_close(struct pyloop *loop)
{
    struct watch **watches = loop->watches;
    size_t n = loop->n_watches;
    loop->watches = NULL;
    loop->n_watches = 0;
    for (size_t i = 0; i < n; i++)
        watch_free(watches[i]);
    PyMem_RawFree(watches);
    for (int i = 0; i < LOOP_SIGNALS; i++) {
        struct signal_watch *w = loop->signals[i];
        loop->signals[i] = NULL;
        if (!w)
            continue;
        if (w->handle)
            event_del(&w->event);
        Py_CLEAR(w->handle);
        PyMem_RawFree(w);
    }
}

static int event_move(struct event *event, struct event_base *base)
{
    if (event_del(event) < 0 || event_base_set(base, event) < 0)
        return -1;
    return event_add(event, NULL);
}

int watches_move(struct pyloop *loop)
{
    int failed = 0;
    for (size_t i = 0; i < loop->n_watches; i++)
        for (int kind = WATCH_READ; loop->watches[i] && kind <= WATCH_WRITE; kind++)
            if (loop->watches[i]->handle[kind])
                failed |= event_move(&loop->watches[i]->event[kind], loop->base);
    for (int i = 0; i < LOOP_SIGNALS; i++)
        if (loop->signals[i] && loop->signals[i]->handle)
            failed |= event_move(&loop->signals[i]->event, loop->base);
    if (failed)
        PyErr_SetString(PyExc_OSError, "what the application watched while it was loaded cannot be watched any more");
    return failed;
}
