/* SPDX-License-Identifier: BSD-3-Clause */
/* stacks.c: has faulthandler write stacks; it needs no GIL and allocates nothing. But it follows the frames of threads that
 * run, with nothing to stop them, and a frame that is gone by then is a fault. So it writes in a thread that holds the GIL,
 * where all others stand still, or else in a copy of the process. And it leaves another errno than it found, which what it
 * interrupts may take for the error of the call it made. */
#include "worker/python/stacks.h"

#include <Python.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/forked.h"
#include "worker/python/snapshot.h"

#define TRIES 3
#define SECONDS 5 /* for one of them */

/* Set once, before the signal can come, but for the descriptor. A handler of a signal that another process sends is handed
 * nothing. */
static void (*faulthandler_dump)(int signo);
static int stacks_fd;

#if PY_VERSION_HEX >= 0x030D0000
#define RUNNING PyThreadState_GetUnchecked
#else
#define RUNNING _PyThreadState_UncheckedGet
#endif

/* In a handler of a signal. PyGILState_Check() says yes to everybody once there is a sub-interpreter. */
static bool holds_gil(void)
{
    PyThreadState *ours = PyGILState_GetThisThreadState();
    return ours && ours == RUNNING();
}

static void say(const char *what)
{
    (void)!write(stacks_fd, what, strlen(what));
}

static void dump_in_copy(int signo)
{
    int end = 0;
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            say("\n(they were being changed meanwhile: another try)\n");
        end = snapshot_call(faulthandler_dump, signo, SECONDS);
        if (end == 0)
            return;
        if (end < 0 || end == SIGALRM)
            break;
    }
    say("\n(the stacks cannot be written: ");
    say(end < 0 ? strerrordesc_np(errno) : sigdescr_np(end));
    say(")\n");
}

/* The same. -1: nothing follows. */
static volatile sig_atomic_t then_fd = -1;

static void on_stacks_signal(int signo)
{
    int saved = errno;
    uint64_t one = 1;
    if (holds_gil())
        faulthandler_dump(signo);
    else
        dump_in_copy(signo);
    if (then_fd >= 0)
        (void)!write(then_fd, &one, sizeof one);
    errno = saved;
}

void stacks_then(int fd)
{
    then_fd = fd;
}

static int wrap(void)
{
    struct sigaction action;
    if (sigaction(SIGUSR2, NULL, &action) < 0)
        return -1;
    if (action.sa_handler == on_stacks_signal)
        return 0;
    faulthandler_dump = action.sa_handler;
    action.sa_handler = on_stacks_signal;
    return sigaction(SIGUSR2, &action, NULL);
}

int stacks_enable(int fd)
{
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *function = module ? PyObject_GetAttrString(module, "register") : NULL;
    PyObject *args = function ? Py_BuildValue("(i)", SIGUSR2) : NULL;
    PyObject *kwargs =
        args ? Py_BuildValue("{s:i,s:O,s:O}", "file", fd, "all_threads", Py_True, "chain", Py_False) : NULL;
    PyObject *r = kwargs ? PyObject_Call(function, args, kwargs) : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(function);
    Py_XDECREF(module);
    Py_XDECREF(r);
    if (!r)
        return -1;
    stacks_fd = fd;
    if (wrap() < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    forked_own_signal(SIGUSR2);
    return 0;
}

void stacks_disable(void)
{
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *r = module ? PyObject_CallMethod(module, "unregister", "i", SIGUSR2) : NULL;
    Py_XDECREF(r);
    Py_XDECREF(module);
    PyErr_Clear();
    signal(SIGUSR2, SIG_IGN);
}

/* New reference; NULL with or without an exception set. */
static PyObject *frame_of(unsigned long ident)
{
    PyObject *sys = PyImport_ImportModule("sys"), *key = PyLong_FromUnsignedLong(ident);
    PyObject *frames = sys && key ? PyObject_CallMethod(sys, "_current_frames", NULL) : NULL;
    PyObject *frame = frames ? PyDict_GetItemWithError(frames, key) : NULL;
    Py_XINCREF(frame);
    Py_XDECREF(frames);
    Py_XDECREF(key);
    Py_XDECREF(sys);
    return frame;
}

char *stacks_of_frame(PyObject *frame)
{
    PyObject *traceback = PyImport_ImportModule("traceback");
    PyObject *lines = traceback ? PyObject_CallMethod(traceback, "format_stack", "O", frame) : NULL;
    PyObject *none = PyUnicode_FromString("");
    PyObject *text = lines && none ? PyUnicode_Join(none, lines) : NULL;
    const char *p = text ? PyUnicode_AsUTF8(text) : NULL;
    char *copy = p ? strdup(p) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(none);
    Py_XDECREF(lines);
    Py_XDECREF(traceback);
    PyErr_Clear();
    return copy;
}

char *stacks_of_thread(unsigned long ident)
{
    PyObject *frame = frame_of(ident);
    char *stack = frame ? stacks_of_frame(frame) : NULL;
    Py_XDECREF(frame);
    PyErr_Clear();
    return stack;
}
