/* SPDX-License-Identifier: BSD-3-Clause */
/* hosted.c: Tine's module in the application's Python, as boot.py loads it: `_tine_host`, whose run() never returns. The
 * process is a worker, or a mold, from then on.
 *
 * An application in the main interpreter has the process's main thread, where signal handlers of Python work. One in a
 * sub-interpreter has a thread of its own: the main thread has frames on its stack, so its thread state cannot be given
 * up for another interpreter's (see interp.c). The main thread then does nothing but wait, with all signals blocked. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/proctitle.h"
#include "conf/conf.h"
#include "worker/host/handover.h"
#include "worker/python/interp.h"

PyMODINIT_FUNC PyInit__tine_host(void);

#define STACK_LEAST ((size_t)8 << 20)

/* --- a worker --- */

struct hosted {
    const struct heritage *heritage;
    sigset_t signals;
    int death_signal; /* PR_SET_PDEATHSIG is a thread's */
    pid_t parent;
    int status;
};

static void *live_beside_main(void *arg)
{
    struct hosted *hosted = arg;
    prctl(PR_SET_PDEATHSIG, hosted->death_signal);
    if (hosted->death_signal && getppid() != hosted->parent)
        _exit(WORKER_EXIT_BOOT); /* the master died before the line above */
    pthread_sigmask(SIG_SETMASK, &hosted->signals, NULL);
    hosted->status = worker_main(hosted->heritage);
    return NULL;
}

/* With as much stack as the main thread of a program usually has: without a limit on stacks, threads get less. */
static int start_thread(pthread_t *ret, struct hosted *hosted)
{
    pthread_attr_t attr;
    size_t size;
    int error = pthread_attr_init(&attr);
    if (error)
        return error;
    if (pthread_attr_getstacksize(&attr, &size) == 0 && size < STACK_LEAST)
        pthread_attr_setstacksize(&attr, STACK_LEAST);
    error = pthread_create(ret, &attr, live_beside_main, hosted);
    pthread_attr_destroy(&attr);
    return error;
}

/* Returns the exit status; the GIL is given up for good. */
static int live_in_thread(const struct heritage *heritage)
{
    struct hosted hosted = { .heritage = heritage, .parent = getppid(), .status = WORKER_EXIT_BOOT };
    pthread_t thread;
    sigset_t all;
    sigfillset(&all);
    prctl(PR_GET_PDEATHSIG, &hosted.death_signal);
    pthread_sigmask(SIG_SETMASK, &all, &hosted.signals);
    PyEval_SaveThread();
    int error = start_thread(&thread, &hosted);
    if (error) {
        const char *why = strerror(error);
        ipc_send(heritage->ipc_fd, IPC_FAILED, why, strlen(why));
        return WORKER_EXIT_BOOT;
    }
    prctl(PR_SET_PDEATHSIG, 0);
    pthread_join(thread, NULL);
    return hosted.status;
}

static const char *title_name(const struct conf *conf)
{
    return conf->server.proc_name ? conf->server.proc_name : "tine";
}

static int live(const struct handover *h)
{
    const struct heritage *heritage = &h->heritage;
    const struct conf *conf = heritage->conf;
    struct proctitle title;
    proctitle_find(&title);
    if (h->kind == HANDOVER_MOLD) {
        proctitle_set(&title, "%s: mold", title_name(conf));
        return mold_main(heritage, &title, title_name(conf));
    }
    proctitle_set(&title, "%s: worker %u", title_name(conf), heritage->slot + 1);
    return heritage->main_interpreter ? worker_main(heritage) : live_in_thread(heritage);
}

/* Tells the master that it is a Python, before anything of the application runs in it, and which module it has loaded. */
static void report_hosted(const struct heritage *heritage, const char *path, int module_fd)
{
    const int fds[2] = { module_fd, -1 };
    if (ipc_send_with_fds(heritage->ipc_fd, IPC_HOSTED, path, strlen(path), fds) < 0)
        log_debug("the master is gone");
    fd_close(&module_fd);
}

/* run(descriptor, path of this module, descriptor of it): returns only with an exception. */
static PyObject *host_run(PyObject *module, PyObject *args)
{
    struct handover handover;
    char why[HANDOVER_WHY];
    const char *text;
    PyObject *path;
    int module_fd;
    if (!PyArg_ParseTuple(args, "sO&i", &text, PyUnicode_FSConverter, &path, &module_fd))
        return NULL;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (handover_take(atoi(text), &handover, why) < 0) {
        PyErr_SetString(PyExc_RuntimeError, why);
        Py_DECREF(path);
        return NULL;
    }
    report_hosted(&handover.heritage, PyBytes_AS_STRING(path), module_fd);
    Py_DECREF(path);
    signal(SIGINT, SIG_DFL); /* ignored until here (become.c), so that Python has not taken it over */
    int status = live(&handover);
    fflush(NULL);
    _exit(status);
}

/* --- other commands --- */

/* Never returns. */
static PyObject *host_print_versions(PyObject *module, PyObject *args)
{
    worker_print_versions(stdout);
    fflush(NULL);
    _exit(0);
}

/* import_settings("OUT:WORDS:SERVER", ...), two descriptors and a name: never returns. */
static PyObject *host_import_settings(PyObject *module, PyObject *args)
{
    const char *text = PyUnicode_AsUTF8(PyTuple_GetItem(args, 0));
    int out, words, n = 0;
    if (!text || sscanf(text, "%d:%d:%n", &out, &words, &n) != 2 || !n)
        return NULL;
    int rc = worker_import(text + n, words, out);
    fflush(NULL);
    _exit(rc == 0 ? 0 : 1);
}

static PyMethodDef host_methods[] = {
    { "run", host_run, METH_VARARGS, NULL },
    { "print_versions", host_print_versions, METH_VARARGS, NULL },
    { "import_settings", host_import_settings, METH_VARARGS, NULL },
    { 0 },
};

static PyModuleDef host_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_tine_host",
    .m_doc = "Turns this process into a worker of the Tine server.",
    .m_methods = host_methods,
};

PyMODINIT_FUNC PyInit__tine_host(void)
{
    return PyModuleDef_Init(&host_def);
}
