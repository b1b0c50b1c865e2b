/* SPDX-License-Identifier: BSD-3-Clause */
/* task.c: the life of the task runner of a loop, and the choice of how a coroutine is run: its first step now and a
 * Task only on demand (task_lazy.c), or, where the application sees how tasks are made (debug mode, a task factory) or a
 * Task is being stepped already, loop.create_task() as everyone does. */
#include "worker/python/task_priv.h"

#include <assert.h>
#include <string.h>

#include "common/fatal.h"
#include "worker/python/coro.h"
#include "worker/python/loop.h"
#include "worker/python/loops/loop_ops.h"
#include "worker/python/pyerr.h"

/* ---- life */

static int tasks_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pytasks *t = (struct pytasks *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(t->current);
    Py_VISIT(t->loop_object);
    Py_VISIT(t->host);
    Py_VISIT(t->base_context);
    Py_VISIT(t->proxy_type);
    Py_VISIT(t->task_type);
    return 0;
}

static int tasks_clear(PyObject *self)
{
    struct pytasks *t = (struct pytasks *)self;
    Py_CLEAR(t->current);
    Py_CLEAR(t->loop_object);
    Py_CLEAR(t->host);
    Py_CLEAR(t->base_context);
    Py_CLEAR(t->task_type);
    Py_CLEAR(t->task_keywords);
    return 0;
}

static void tasks_dealloc(PyObject *self)
{
    struct pytasks *t = (struct pytasks *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    tasks_clear(self);
    proxy_drop_free_list(t);
    Py_CLEAR(t->proxy_type);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot tasks_slots[] = {
    { Py_tp_dealloc, tasks_dealloc },
    { Py_tp_traverse, tasks_traverse },
    { Py_tp_clear, tasks_clear },
    { 0, NULL },
};

static PyType_Spec tasks_spec = {
    .name = "_tine.Tasks",
    .basicsize = sizeof(struct pytasks),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tasks_slots,
};

static struct pytasks *allocate(void)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&tasks_spec);
    if (!type)
        return NULL;
    struct pytasks *t = PyObject_GC_New(struct pytasks, type);
    Py_DECREF(type);
    if (!t)
        return NULL;
    memset((char *)t + sizeof t->ob_base, 0, sizeof *t - sizeof t->ob_base);
    PyObject_GC_Track(t);
    return t;
}

static PyObject *asyncio_task_type(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio.tasks");
    PyObject *type = asyncio ? PyObject_GetAttrString(asyncio, "Task") : NULL;
    Py_XDECREF(asyncio);
    return type;
}

void pytasks_describe_by(struct pytasks *tasks, pytask_describe_fn *describe)
{
    tasks->describe = describe;
}

/* A foreign loop notes no steps: those of requests are noted here, but for those that a turn of ours begins. */
static bool is_hosts_step(const struct pyloop *loop)
{
    return loop->guest && !loop->guest->in_turn;
}

void task_step_ended(struct pytasks *tasks, struct step_watch *watch)
{
    step_watch_leave(watch);
    if (tasks->loop && is_hosts_step(tasks->loop))
        step_watch_end(watch);
}

int pytasks_describe_all(const struct pytasks *tasks, PyObject *to)
{
    for (const struct proxy *p = tasks->running_list; p; p = p->next) {
        char what[STEP_WHAT] = "";
        if (!p->task || !p->arg || !tasks->describe)
            continue;
        tasks->describe(p->arg, what, sizeof what);
        PyObject *text = PyUnicode_DecodeUTF8(what, (Py_ssize_t)strlen(what), "replace");
        int r = text ? PyDict_SetItem(to, p->task, text) : -1;
        Py_XDECREF(text);
        if (r < 0)
            return -1;
    }
    return 0;
}

struct step_watch *task_step_named(struct pytasks *tasks, PyObject *arg)
{
    struct step_watch *watch = tasks->loop->step_watch;
    if (is_hosts_step(tasks->loop))
        step_watch_begin(watch);
    char *to = step_watch_name(watch);
    if (!*to && arg && tasks->describe)
        tasks->describe(arg, to, STEP_WHAT);
    step_watch_enter(watch);
    return watch;
}

static bool is_asyncios(const struct pyloop *loop)
{
    return pyloop_ops(loop)->style == LOOP_ASYNCIO;
}

struct pytasks *pytasks_new(struct pyloop *loop)
{
    struct pytasks *t = allocate();
    if (!t)
        return NULL;
    t->loop = loop;
    t->thread = PyThread_get_thread_ident();
    t->loop_object = Py_NewRef(pyloop_object(loop));
    if (!is_asyncios(loop))
        t->host = Py_XNewRef(pyloop_host(loop));
    t->base_context = PyContext_CopyCurrent();
    t->proxy_type = proxy_make_type();
    t->task_type = asyncio_task_type();
    t->task_keywords = Py_BuildValue("(ss)", "loop", "context");
    if (t->base_context && t->proxy_type && t->task_type && t->task_keywords &&
        (t->host || (t->current = current_acquire(t->loop_object))))
        return t;
    PyObject *exception = pyerr_take();
    pytasks_free(t);
    coro_restore(exception);
    return NULL;
}

void pytasks_close(struct pytasks *tasks)
{
    if (!tasks || !tasks->loop)
        return;
    assert(!tasks->current || !tasks->current->step || tasks->current->step->tasks != tasks);
    together_abandon(tasks);
    while (tasks->running_list)
        proxy_abandon(tasks->running_list);
    tasks->loop = NULL;
    struct current *current = tasks->current;
    tasks->current = NULL;
    current_release(current);
}

void pytasks_free(struct pytasks *tasks)
{
    pytasks_close(tasks);
    Py_XDECREF(tasks);
}

/* ---- starting */

/* loop.create_task(proxy), or the host's start(scope, proxy): in a copy of the base context, which the Task then copies. */
static PyObject *create_task(struct pytasks *tasks, struct proxy *p)
{
    PyObject *context = PyContext_Copy(tasks->base_context);
    if (!context)
        return NULL;
    PyObject *task = NULL;
    if (PyContext_Enter(context) == 0) {
        if (tasks->host)
            task = PyObject_CallMethod(tasks->host, "start", "OO", p->task, p);
        else
            task = PyObject_CallMethod(tasks->loop_object, "create_task", "O", p);
        PyObject *exception = task ? NULL : pyerr_take();
        if (PyContext_Exit(context) < 0)
            PyErr_WriteUnraisable(context);
        if (exception)
            coro_restore(exception);
    }
    Py_DECREF(context);
    return task;
}

static int set_job(struct proxy *p, const struct job *job)
{
    if (job->coro) {
        p->origin = Py_NewRef(job->coro);
        p->iterator = coro_awaitable_iterator(job->coro);
        return p->iterator ? 0 : -1;
    }
    p->state = PROXY_UNCALLED;
    p->callable = Py_NewRef(job->callable);
    p->arguments = PyTuple_New(job->n);
    if (!p->arguments)
        return -1;
    for (Py_ssize_t i = 0; i < job->n; i++)
        PyTuple_SET_ITEM(p->arguments, i, Py_NewRef(job->args[i]));
    return 0;
}

/* An eager Task hands SystemExit and KeyboardInterrupt to its maker too. */
static void drop_raised(struct proxy *p)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        PyErr_Clear();
    else
        PyErr_WriteUnraisable((PyObject *)p);
}

/* An eager task factory may have run it to its end already. */
static int plain_start(struct pytasks *tasks, const struct job *job)
{
    struct proxy *p = proxy_new(tasks, job);
    if (!p)
        return -1;
    tasks->running++;
    PyObject *task = set_job(p, job) == 0 ? create_task(tasks, p) : NULL;
    bool ended = p->state == PROXY_ENDED;
    if (task && !ended)
        p->task = Py_NewRef(task);
    else if (task)
        task_mark_retrieved(task);
    else if (ended)
        drop_raised(p);
    else {
        tasks->running--;
        proxy_retire(p);
    }
    Py_XDECREF(task);
    Py_DECREF(p);
    return task || ended ? 0 : -1;
}

/* What the host's task runs: scoped(scope, application, *args), where `scope` has its cancel(). 0, or -1 with an exception
 * set. */
static int set_scoped_job(struct proxy *p, const struct job *job)
{
    enum { MOST = 8 };
    PyObject *args[MOST];
    fatal_unless(job->n + 2 <= MOST);
    p->task = PyObject_CallMethod(p->tasks->host, "scope", NULL);
    PyObject *scoped = p->task ? PyObject_GetAttrString(p->tasks->host, "scoped") : NULL;
    if (!scoped)
        return -1;
    args[0] = p->task;
    args[1] = job->callable;
    memcpy(args + 2, job->args, (size_t)job->n * sizeof args[0]);
    int r = set_job(p, &(struct job){ .callable = scoped, .args = args, .n = job->n + 2 });
    Py_DECREF(scoped);
    return r;
}

static int host_start(struct pytasks *tasks, const struct job *job)
{
    struct proxy *p = proxy_new(tasks, job);
    if (!p)
        return -1;
    tasks->running++;
    PyObject *task = set_scoped_job(p, job) == 0 ? create_task(tasks, p) : NULL;
    if (!task) {
        tasks->running--;
        proxy_retire(p);
    }
    Py_XDECREF(task);
    Py_DECREF(p);
    return task ? 0 : -1;
}

int task_start(struct pytasks *tasks, const struct job *job)
{
    if (!tasks->loop) {
        PyErr_SetString(PyExc_RuntimeError, "the event loop is closed");
        return -1;
    }
    if (tasks->host)
        return host_start(tasks, job);
    if (!pytasks_idle(tasks) || pyloop_plain_tasks(tasks->loop))
        return plain_start(tasks, job);
    return lazy_start(tasks, job);
}

int task_start_cancelled(struct pytasks *tasks, const struct job *job)
{
    if (plain_start(tasks, job) < 0)
        return -1;
    pytasks_cancel(tasks, job->arg);
    return 0;
}

/* Marks it on failure as never awaited, so that Python does not warn. */
static void discard(PyObject *coro)
{
    PyObject *exception = pyerr_take();
    PyObject *r = PyObject_CallMethod(coro, "close", NULL);
    if (!r)
        PyErr_Clear();
    Py_XDECREF(r);
    coro_restore(exception);
}

int pytask_start(struct pytasks *tasks, PyObject *coro, pytask_done_fn *done, PyObject *arg)
{
    assert(coro && !tasks->host);
    struct job job = { .coro = coro, .done = done, .arg = arg };
    Py_XINCREF(arg);
    int r = task_start(tasks, &job);
    if (r < 0)
        discard(coro);
    Py_XDECREF(arg);
    Py_DECREF(coro);
    return r;
}

int pytask_call(struct pytasks *tasks, PyObject *callable, PyObject *const *args, Py_ssize_t n, pytask_done_fn *done,
                PyObject *arg)
{
    struct job job = { .callable = callable, .args = args, .n = n, .done = done, .arg = arg };
    Py_XINCREF(arg);
    int r = task_start(tasks, &job);
    Py_XDECREF(arg);
    return r;
}

/* ---- the rest of the contract */

bool pytasks_idle(struct pytasks *tasks)
{
    return !tasks->current || (!tasks->current->step && !current_is_set(tasks->current));
}

unsigned pytasks_running(const struct pytasks *tasks)
{
    return tasks->running;
}

static void cancel(PyObject *task)
{
    PyObject *r = PyObject_CallMethod(task, "cancel", NULL);
    if (!r)
        PyErr_WriteUnraisable(task);
    Py_XDECREF(r);
}

void pytasks_cancel(struct pytasks *tasks, const PyObject *arg)
{
    together_cancel(tasks, arg, NULL);
    struct proxy *p = tasks->running_list;
    while (p && p->arg != arg)
        p = p->next;
    if (!p || !p->task)
        return;
    PyObject *task = Py_NewRef(p->task);
    cancel(task);
    Py_DECREF(task);
}

void pytasks_cancel_all(struct pytasks *tasks, const PyObject *spared)
{
    together_cancel(tasks, NULL, spared);
    struct first_step *step = tasks->current ? current_step(tasks->current) : NULL;
    if (step && step->tasks == tasks && !lazy_task(step))
        PyErr_WriteUnraisable(NULL);
    PyObject *running = PyList_New(0);
    if (!running) {
        PyErr_WriteUnraisable(NULL);
        return;
    }
    /* cancel() runs other people's code, under which the list may change. */
    for (struct proxy *p = tasks->running_list; p; p = p->next) {
        if (p->task && (!spared || p->arg != spared) && PyList_Append(running, p->task) < 0)
            PyErr_WriteUnraisable(p->task);
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(running); i++)
        cancel(PyList_GET_ITEM(running, i));
    Py_DECREF(running);
}

/* ---- exceptions */

void task_mark_retrieved(PyObject *task)
{
    PyObject *exception = PyObject_CallMethod(task, "exception", NULL);
    if (!exception)
        PyErr_Clear(); /* cancelled, or not done yet */
    Py_XDECREF(exception);
}

/* Future.add_done_callback(): by then the exception is in the Task. */
static PyObject *on_task_done(PyObject *unused, PyObject *task)
{
    task_mark_retrieved(task);
    Py_RETURN_NONE;
}

static PyMethodDef on_task_done_def = { "retrieved", on_task_done, METH_O, NULL };

void task_expect_exception(PyObject *task)
{
    PyObject *callback = PyCFunction_New(&on_task_done_def, NULL);
    PyObject *r = callback ? PyObject_CallMethod(task, "add_done_callback", "O", callback) : NULL;
    if (!r)
        PyErr_Clear();
    Py_XDECREF(r);
    Py_XDECREF(callback);
}

bool task_stops_loop(PyObject *exception)
{
    return PyErr_GivenExceptionMatches(exception, PyExc_SystemExit) ||
           PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt);
}
