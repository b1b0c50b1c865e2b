/* SPDX-License-Identifier: BSD-3-Clause */
/* interp.c: starts CPython and makes the interpreter of the application. Never finalises it: a live
 * daemon thread makes Py_EndInterpreter() abort, so a worker ends by interp_stop() and _exit(). */
#include "worker/python/interp.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/heritage.h"
#include "common/log.h"
#include "common/why.h"
#include "conf/conf.h"
#include "worker/python/fork_child.h"
#include "worker/python/fork_child_py.h"
#include "worker/python/interp_py.h"
#include "worker/python/native_threads.h"
#include "worker/python/pyerr.h"
#include "worker/python/pystate.h"
#include "worker/python/refusal.h"

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)
#define PYTHON_X_Y "python" STRING(PY_MAJOR_VERSION) "." STRING(PY_MINOR_VERSION)

/* Takes the exception that is set. */
static int why_exception(char **ret_why)
{
    PyObject *exception = pyerr_take();
    *ret_why = pyerr_format(exception);
    Py_DECREF(exception);
    return -1;
}

static int why_status(char **ret_why, PyStatus status)
{
    return why_set(ret_why, "Python does not start: %s%s%s", status.func ? status.func : "", status.func ? ": " : "",
                   status.err_msg ? status.err_msg : "no reason given");
}

static bool exists(const char *folder, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path && !access(path, F_OK);
}

/* NULL if the virtual environment fits this Python, or what is wrong with it. */
static const char *venv_fault(const char *venv)
{
    if (!exists(venv, "pyvenv.cfg"))
        return errno == ENOENT || errno == ENOTDIR ? "it is no virtual environment (pyvenv.cfg is missing)"
                                                   : strerror(errno);
    if (!exists(venv, "lib/" PYTHON_X_Y "/site-packages"))
        return errno == ENOENT ? "it was made for another Python (lib/" PYTHON_X_Y "/site-packages is missing)"
                               : strerror(errno);
    return NULL;
}

/* The virtual environment to use: the configured one, else the one that is active in the shell, if
 * it fits. */
static int choose_venv(const struct conf_app *conf, const char **ret_venv, char **ret_why)
{
    const char *venv = conf->venv;
    *ret_venv = NULL;
    if (venv && *venv) {
        const char *fault = venv_fault(venv);
        if (fault)
            return why_set(ret_why, "venv %s: %s", venv, fault);
        *ret_venv = venv;
        return 0;
    }
    venv = getenv("VIRTUAL_ENV");
    if (venv && *venv) {
        const char *fault = venv_fault(venv);
        if (fault)
            log_warning("the active virtual environment %s is not used: %s", venv, fault);
        else
            *ret_venv = venv;
    }
    return 0;
}

/* Not resolved: a virtual environment is known by the name of its link. */
static void make_absolute(char path[PATH_MAX], const char *folder, const char *name)
{
    char here[PATH_MAX] = "";
    const char *slash = *folder != '/' && getcwd(here, sizeof here) ? "/" : "";
    int n = snprintf(path, PATH_MAX, "%s%s%s/%s", here, slash, folder, name);
    if (n < 0 || n >= PATH_MAX)
        path[0] = '\0';
}

/* What sys.executable is to be: Python finds its library and the virtual environment from it, and
 * multiprocessing starts it. Looking for "python3" in PATH could find another installation. */
static void executable(const char *venv, char path[PATH_MAX])
{
    static const char *const names[] = {
#ifdef Py_DEBUG
        "bin/" PYTHON_X_Y "d",
#endif
        "bin/" PYTHON_X_Y, "bin/python3", "bin/python"
    };
    const char *folder = venv ? venv : TINE_PYTHON_PREFIX;
    path[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (exists(folder, names[i])) {
            make_absolute(path, folder, names[i]);
            return;
        }
}

static PyStatus preinitialize(void)
{
    PyPreConfig pre;
    PyPreConfig_InitPythonConfig(&pre);
    pre.parse_argv = 0;
#if defined(TINE_ASAN) || defined(TINE_TSAN)
    pre.allocator = PYMEM_ALLOCATOR_MALLOC;
#endif
    return Py_PreInitialize(&pre);
}

static PyStatus fill_config(PyConfig *config, const char *program, bool site)
{
    char *argv[] = { "tine" };
    config->site_import = site;
    config->install_signal_handlers = 0;
    config->parse_argv = 0;
    PyStatus status = PyConfig_SetBytesArgv(config, 1, argv);
    if (!PyStatus_Exception(status) && *program)
        status = PyConfig_SetBytesString(config, &config->program_name, program);
    if (!PyStatus_Exception(status) && *program)
        status = PyConfig_SetBytesString(config, &config->executable, program);
    return status;
}

int worker_check_python(const struct conf_app *conf, char **ret_why)
{
    const char *venv;
    return choose_venv(conf, &venv, ret_why);
}

static int start_python(const struct conf_app *conf, bool main_interpreter, char **ret_why)
{
    const char *venv;
    if (choose_venv(conf, &venv, ret_why))
        return -1;
    char program[PATH_MAX];
    executable(venv, program);
    PyStatus status = preinitialize();
    if (PyStatus_Exception(status))
        return why_status(ret_why, status);
    if (pystate_register())
        return why_set(ret_why, "Python does not start: out of memory");
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    status = fill_config(&config, program, main_interpreter);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return PyStatus_Exception(status) ? why_status(ret_why, status) : 0;
}

/* --- in a process that is a Python already --- */

/* The thread that will have the sub-interpreter gets a first state, as the main thread of an embedding program has. */
static int join_python(bool main_interpreter, char **ret_why)
{
    if (main_interpreter)
        return 0;
    PyThreadState *first = PyThreadState_New(PyInterpreterState_Main());
    if (!first)
        return why_set(ret_why, "Python makes no thread state: out of memory");
    PyEval_RestoreThread(first);
    return 0;
}

/* sys.flags as they would be without -S: children that Python starts (multiprocessing) are given this interpreter's
 * flags. New reference. */
static PyObject *flags_with_site(PyObject *flags)
{
    PyTypeObject *type = Py_TYPE(flags);
    PyObject *names = PyObject_GetAttrString((PyObject *)type, "__match_args__");
    PyObject *count = PyObject_GetAttrString((PyObject *)type, "n_fields");
    Py_ssize_t n = count ? PyLong_AsSsize_t(count) : -1;
    PyObject *copy = names && n >= 0 ? PyStructSequence_New(type) : NULL;
    for (Py_ssize_t i = 0; copy && i < n; i++) {
        const char *name = i < PyTuple_GET_SIZE(names) ? PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i)) : "";
        PyObject *value = PyStructSequence_GetItem(flags, i); /* borrowed */
        PyStructSequence_SetItem(copy, i, name && !strcmp(name, "no_site") ? PyLong_FromLong(0) : Py_NewRef(value));
    }
    Py_XDECREF(count);
    Py_XDECREF(names);
    return copy;
}

/* The main thread that threading speaks of is this one, where it is the process's from 3.13 on: threads that are started
 * here would else inherit from a thread that is no one's, and be daemons that nobody waits for at the end. Before anything
 * imports threading. */
static int be_main_thread(void)
{
    static const char code[] =
        "import _thread\n"
        "if hasattr(_thread, '_get_main_thread_ident'):\n"
        "    _thread._get_main_thread_ident = (lambda ident: lambda: ident)(_thread.get_ident())\n";
    PyObject *globals = PyDict_New();
    PyObject *r = globals && PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) == 0
                      ? PyRun_String(code, Py_file_input, globals, globals)
                      : NULL;
    Py_XDECREF(r);
    Py_XDECREF(globals);
    return r ? 0 : -1;
}

/* Python was started without site, so that it, sitecustomize and .pth files run once, in the interpreter of the
 * application, and not before this process is one of the server's. Importing it runs it, unless it was imported without
 * effect. */
static int run_site(void)
{
    PyObject *flags = PySys_GetObject("flags"), *argv = Py_BuildValue("[s]", "tine"); /* flags: borrowed */
    PyObject *with_site = flags ? flags_with_site(flags) : NULL, *done = NULL;
    bool there = PyDict_GetItemString(PyImport_GetModuleDict(), "site") != NULL;
    if (argv && with_site && !PySys_SetObject("flags", with_site) && !PySys_SetObject("argv", argv) &&
        !PySys_SetObject("orig_argv", argv)) {
        PyObject *site = PyImport_ImportModule("site");
        done = site && there ? PyObject_CallMethod(site, "main", NULL) : Py_XNewRef(site);
        Py_XDECREF(site);
    }
    int rc = done ? 0 : -1;
    Py_XDECREF(done);
    Py_XDECREF(with_site);
    Py_XDECREF(argv);
    return rc;
}

static void on_interrupt(int signo)
{
}

/* The signal module must be there before the first use of _thread.interrupt_main(), which crashes
 * without it, and only the main interpreter can make it ready. It takes over SIGINT if that has no handler:
 * here that signal is the worker's, and interrupt_main() interrupts nothing, also in workers that a
 * mold has forked. */
static int prepare_signals(void)
{
    struct sigaction interrupt, ours = { .sa_handler = on_interrupt };
    sigaction(SIGINT, &ours, &interrupt);
    PyObject *module = PyImport_ImportModule("_signal");
    sigaction(SIGINT, &interrupt, NULL);
    Py_XDECREF(module);
    return module ? 0 : -1;
}

static unsigned count_states(PyInterpreterState *state)
{
    unsigned n = 0;
    for (PyThreadState *t = PyInterpreterState_ThreadHead(state); t; t = PyThreadState_Next(t))
        n++;
    return n;
}

/* Makes a sub-interpreter whose thread state is also the one that PyGILState_Ensure() finds on this
 * thread. The state that it finds is the first one that the thread ever had, of the main
 * interpreter, and extension modules that use it would wait for themselves for ever. So that first
 * state is deleted, and the next one made becomes the one found. The main interpreter keeps a spare
 * state: CPython 3.11 would hand out its static one again otherwise. */
static int enter_sub_interpreter(struct interp *interp, char **ret_why)
{
    PyThreadState *first = PyThreadState_Get();
    PyInterpreterState *main = PyThreadState_GetInterpreter(first);
    PyThreadState *initial = Py_NewInterpreter();
    if (!initial)
        return why_set(ret_why, "Python makes no sub-interpreter");
    PyInterpreterState *sub = PyThreadState_GetInterpreter(initial);
    PyThreadState *spare = PyThreadState_New(main);
    if (!spare)
        return why_set(ret_why, "Python makes no thread state: out of memory");
    PyThreadState_Swap(first); /* what it holds is given back in its own interpreter */
    PyThreadState_Clear(first);
    PyThreadState_Swap(initial);
    PyThreadState_Delete(first);
    interp->idle_states = count_states(main);
    PyThreadState *ours = PyThreadState_New(sub);
    if (!ours)
        return why_set(ret_why, "Python makes no thread state: out of memory");
    PyThreadState_Swap(ours);
    PyThreadState_Clear(initial);
    PyThreadState_Delete(initial);
    if (PyGILState_GetThisThreadState() != ours)
        return why_set(ret_why, "this Python does not let go of the main interpreter: set \"interpreter = main\"");
    return 0;
}

/* The working directory, then pythonpath. New reference. */
static PyObject *path_list(const struct conf_app *conf)
{
    char folder[PATH_MAX];
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i <= conf->pythonpath.n; i++) {
        const char *name = i == 0 ? getcwd(folder, sizeof folder) : conf->pythonpath.v[i - 1];
        if (!name)
            continue;
        PyObject *item = PyUnicode_DecodeFSDefault(name);
        if (!item || PyList_Append(list, item))
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* Before the standard library's modules that are patched are imported by anything else. */
static int patch(const struct conf_app *conf)
{
    if (conf->loop != CONF_LOOP_GEVENT || !conf->monkey_patch)
        return 0;
    PyObject *module = pystate_run("_tine_interp", interp_py);
    PyObject *path = module ? path_list(conf) : NULL;
    PyObject *r = path ? PyObject_CallMethod(module, "patch", "O", path) : NULL;
    Py_XDECREF(r);
    Py_XDECREF(path);
    Py_XDECREF(module);
    return r ? 0 : -1;
}

static int prepare(const struct conf_app *conf, bool sub)
{
    PyObject *module = pystate_run("_tine_interp", interp_py);
    PyObject *path = module ? path_list(conf) : NULL;
    PyObject *r = path ? PyObject_CallMethod(module, "prepare", "OO", sub ? Py_True : Py_False, path) : NULL;
    Py_XDECREF(r);
    Py_XDECREF(path);
    Py_XDECREF(module);
    return r ? 0 : -1;
}

#if PY_VERSION_HEX >= 0x030D0000
/* Modules of the old kind (single-phase initialisation) are first made in the main interpreter, where what they import has
 * to be found. It was started without site: it gets this interpreter's sys.path. Not worth an error. */
static void share_path(void)
{
    PyObject *path = PySys_GetObject("path"), *newline = PyUnicode_FromString("\n"); /* path: borrowed */
    PyObject *lines = path && newline ? PyUnicode_Join(newline, path) : NULL;
    PyObject *bytes = lines ? PyUnicode_EncodeFSDefault(lines) : NULL;
    PyThreadState *ours = PyThreadState_Get(), *guest = bytes ? PyThreadState_New(PyInterpreterState_Main()) : NULL;
    PyErr_Clear();
    if (guest) {
        PyThreadState_Swap(guest);
        PyObject *copy = PyUnicode_DecodeFSDefault(PyBytes_AS_STRING(bytes)), *sep = PyUnicode_FromString("\n");
        PyObject *list = copy && sep ? PyUnicode_Split(copy, sep, -1) : NULL;
        if (list)
            PySys_SetObject("path", list);
        Py_XDECREF(list);
        Py_XDECREF(sep);
        Py_XDECREF(copy);
        PyErr_Clear();
        PyThreadState_Clear(guest);
        PyThreadState_Swap(ours);
        PyThreadState_Delete(guest);
    }
    Py_XDECREF(bytes);
    Py_XDECREF(lines);
    Py_XDECREF(newline);
}
#else
static void share_path(void)
{
}
#endif

char *interp_environment(void)
{
    PyObject *module = PyImport_ImportModule("_tine_interp");
    PyObject *text = module ? PyObject_CallMethod(module, "environment", NULL) : NULL;
    PyObject *bytes = text ? PyUnicode_EncodeFSDefault(text) : NULL;
    char *paths = bytes ? strdup(PyBytes_AS_STRING(bytes)) : NULL;
    Py_XDECREF(bytes);
    Py_XDECREF(text);
    Py_XDECREF(module);
    PyErr_Clear();
    return paths;
}

static int prepare_forks(void)
{
    PyObject *module = pystate_run(FORK_CHILD_MODULE, fork_child_py);
    int result = module ? fork_child_prepare(module) : -1;
    Py_XDECREF(module);
    return result;
}

int interp_start(struct interp *interp, const struct conf_app *conf, bool main_interpreter, char **ret_why)
{
    *ret_why = NULL;
    bool hosted = Py_IsInitialized();
    if (hosted ? join_python(main_interpreter, ret_why) : start_python(conf, main_interpreter, ret_why))
        return -1;
    if (prepare_signals() || (!main_interpreter && native_threads_watch(interp)))
        return why_exception(ret_why);
    if (!main_interpreter && enter_sub_interpreter(interp, ret_why))
        return -1;
    if ((!main_interpreter && be_main_thread()) || ((hosted || !main_interpreter) && run_site()) || patch(conf) ||
        (hosted && pystate_install()))
        return why_exception(ret_why);
    if ((!main_interpreter && refusal_watch(interp)) || prepare(conf, !main_interpreter) || prepare_forks())
        return why_exception(ret_why);
    if (hosted && !main_interpreter)
        share_path();
    interp->tstate = PyThreadState_Get();
    interp->state = PyThreadState_GetInterpreter(interp->tstate);
    interp->sub = !main_interpreter;
    return 0;
}

void interp_stop(struct interp *interp, uint64_t ms)
{
    PyObject *module = PyImport_ImportModule("_tine_interp");
    PyObject *r = module ? PyObject_CallMethod(module, "finish", "d", (double)ms / 1000.0) : NULL;
    const char *left = r ? PyUnicode_AsUTF8(r) : NULL;
    if (!left)
        pyerr_log(LOG_LEVEL_ERROR, "the end of the application's interpreter failed");
    else if (*left)
        log_warning("threads of the application are still running and are left: %s", left);
    Py_XDECREF(r);
    Py_XDECREF(module);
}
