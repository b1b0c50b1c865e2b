/* SPDX-License-Identifier: BSD-3-Clause */
/* mold.c: a mold: a process that has loaded the application and forks workers. It never accepts, runs no event loop, and
 * does nothing between two orders, so that the memory it shares with its workers stays as it is.
 *
 * A worker is forked twice: the process between them ends at once, so that the worker becomes the child of the master,
 * which is a subreaper, and the master learns of its end as of any other. Only fork() itself calls the handlers that
 * libraries have registered (pthread_atfork); clone(CLONE_PARENT) would not. */
#include <Python.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/forked.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/proctitle.h"
#include "common/stop_signals.h"
#include "conf/conf.h"
#include "worker/python/pyerr.h"
#include "worker/worker.h"

struct mold {
    const struct heritage *heritage;
    const struct proctitle *title;
    const char *name;
    struct worker worker; /* not a real one: only what loading the application needs */
    struct worker_app *app; /* NULL: nothing is answered by Python */
    int folder; /* of the workers: see worker.h */
    struct ipc_msg msg; /* the order that is obeyed */
};

/* --- the application --- */

static unsigned count_threads(void)
{
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    while (tasks && (entry = readdir(tasks)))
        n += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return n;
}

/* Names of Python's threads, ", a, b"; "" if that is not to be had. To be freed. */
static char *thread_names(void)
{
    static const char *const code = "', '.join(t.name for t in __import__('threading').enumerate()[1:])";
    PyObject *globals = PyDict_New();
    PyObject *text = globals && PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) == 0
                         ? PyRun_String(code, Py_eval_input, globals, globals)
                         : NULL;
    const char *names = text ? PyUnicode_AsUTF8(text) : NULL;
    char *copy = strdup(names ? names : "");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(globals);
    return copy;
}

static void warn_of_threads(void)
{
    unsigned n = count_threads();
    if (n <= 1)
        return;
    char *names = thread_names();
    log_warning("%u thread%s started while the application was loaded%s%s: workers do not have them "
                "(app.preload_app); start them in lifespan start-up, or when they are first needed",
                n - 1, n > 2 ? "s" : "", names && *names ? ", among them " : "", names ? names : "");
    free(names);
}

static void on_group_signal(int signo)
{
}

/* Sent to the whole group by a terminal or a service manager: the master decides. A handler, since programs that the
 * application starts would inherit that they are ignored. */
static void leave_signals_to_master(void)
{
    const struct sigaction nothing = { .sa_handler = on_group_signal, .sa_flags = SA_RESTART };
    const sigset_t group = stop_signals_set();
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        if (sigaction(stop_signals[i], &nothing, NULL) == 0)
            forked_own_signal(stop_signals[i]);
    sigprocmask(SIG_UNBLOCK, &group, NULL);
}

/* Reports it to the master. Returns the status to end with. */
static int fail_load(const struct mold *m, struct worker_failure *failure)
{
    worker_report_failure(m->heritage, failure);
    free(failure->why);
    return failure->status;
}

/* 0, or the status to end with. */
static int load_app(struct mold *m)
{
    struct worker *w = &m->worker;
    struct worker_failure failure;
    const struct conf *conf = m->heritage->conf;
    for (size_t i = 0; i < conf->n_env; i++)
        setenv(conf->env[i].name, conf->env[i].value, 1);
    *w = (struct worker){ .heritage = m->heritage, .conf = conf };
    if (worker_guard_forks(m->heritage) < 0) {
        worker_failed(&failure, WORKER_EXIT_BOOT, strerror(errno));
        return fail_load(m, &failure);
    }
    leave_signals_to_master();
    if (!worker_app_is_needed(conf))
        return 0;
    if (worker_app_cast(w, &m->app, &failure) < 0) {
        int status = fail_load(m, &failure);
        worker_app_give_up(m->app);
        return status;
    }
    warn_of_threads();
    if (conf->app.gc_freeze)
        worker_freeze(); /* objects that are not looked at stay in pages that are shared */
    worker_trim_memory();
    return 0;
}

/* --- forking --- */

static _Noreturn void be_worker(struct mold *m, uint32_t slot, const int fds[2])
{
    struct heritage heritage = *m->heritage;
    int from_master = heritage.ipc_fd;
    heritage.slot = slot;
    heritage.ipc_fd = fds[0];
    heritage.stacks_fd = fds[1];
    fd_close(&from_master);
    proctitle_set(m->title, "%s: worker %u", m->name, slot + 1);
    _exit(worker_live(&heritage, m->app, m->folder));
}

static void report_forked(int fd, uint32_t order, int32_t pid)
{
    struct ipc_forked forked = { order, pid };
    struct pollfd writable = { .fd = fd, .events = POLLOUT };
    while (ipc_send(fd, IPC_FORKED, &forked, sizeof forked) < 0 && errno == EAGAIN)
        poll(&writable, 1, -1);
}

/* The process between mold and worker. The worker waits until the master can know its number: the master would not
 * recognise it if it ended before. Returns in the worker. */
static void fork_again(const struct mold *m, const struct ipc_fork *order)
{
    int reported[2];
    char byte;
    pid_t pid = pipe(reported) < 0 ? -1 : fork();
    if (pid == 0) {
        close(reported[1]);
        while (read(reported[0], &byte, 1) < 0 && errno == EINTR)
            ;
        close(reported[0]);
        return;
    }
    report_forked(m->heritage->ipc_fd, order->order, pid < 0 ? -errno : (int32_t)pid);
    _exit(0);
}

static void wait_for(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void fork_worker(struct mold *m, const struct ipc_fork *order, const int fds[2])
{
    if (m->app)
        PyOS_BeforeFork();
    forked_expect_own(true);
    pid_t pid = fork();
    if (pid == 0) {
        fork_again(m, order);
        forked_expect_own(false);
        if (m->app)
            PyOS_AfterFork_Child();
        be_worker(m, order->slot, fds);
    }
    int saved = errno;
    forked_expect_own(false);
    if (m->app)
        PyOS_AfterFork_Parent();
    if (pid > 0)
        wait_for(pid);
    else
        report_forked(m->heritage->ipc_fd, order->order, -saved);
}

/* --- orders --- */

static void obey(struct mold *m, const struct ipc_msg *msg, int fds[2])
{
    struct ipc_fork order;
    if (msg->type == IPC_FORK && msg->n == sizeof order && fds[0] >= 0) {
        memcpy(&order, msg->payload, sizeof order);
        fork_worker(m, &order, fds);
    } else if (msg->type == IPC_REOPEN) {
        if (log_reopen() < 0)
            log_error("cannot reopen the error log: %s", strerror(errno));
    } else {
        log_error("unexpected message %s to the mold", ipc_name(msg->type));
    }
    fd_close(&fds[0]);
    fd_close(&fds[1]);
}

/* Until the master is gone, or ends it. */
static void serve(struct mold *m)
{
    struct pollfd readable = { .fd = m->heritage->ipc_fd, .events = POLLIN };
    int fds[2], got = 0;
    while (got >= 0) {
        got = ipc_recv_with_fds(readable.fd, &m->msg, fds);
        if (got > 0)
            obey(m, &m->msg, fds);
        else if (got == 0)
            poll(&readable, 1, -1);
    }
}

int mold_main(const struct heritage *heritage, const struct proctitle *title, const char *name)
{
    struct mold m = { .heritage = heritage, .title = title, .name = name, .folder = worker_folder() };
    int status = load_app(&m);
    if (status)
        return status;
    if (ipc_send(heritage->ipc_fd, IPC_READY, NULL, 0) < 0)
        return WORKER_EXIT_BOOT;
    serve(&m);
    return WORKER_EXIT_OK;
}
