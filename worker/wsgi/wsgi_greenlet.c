/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_greenlet.c: see wsgi_greenlet.h. gevent is asked by its Python interface alone: whichever version is there, and
 * however it was built. */
#include "worker/wsgi/wsgi_greenlet.h"

#include <stdlib.h>

#include "common/clock.h"
#include "conf/conf.h"
#include "worker/app/app_report.h"
#include "worker/python/fork_child.h"
#include "worker/python/frame_memory.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/stacks.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_pool.h"
#include "worker/wsgi/wsgi_state.h"

/* What a greenlet runs: the request, for those who look at greenlets, too. */
struct run {
    PyObject_HEAD struct wsgi_call *call;
};

struct wsgi_greenlets {
    struct wsgi *wsgi;
    const struct wsgi_greenlet_ops *ops;
    struct wsgi_calls ready; /* to be begun with */
    bool told; /* the hub will call `start` */
    uint64_t begun; /* calls */
    uint64_t progress, progress_ns; /* `begun` when it was counted last; clock_ns() of its last change */
    PyObject *start; /* start_ready() */
    PyTypeObject *run_type;
    PyObject *hub, *run_callback; /* of its loop */
    PyObject *getcurrent, *greenlet_type, *waiter_type, *exit_type;
    PyObject *name_switch, *name_get, *name_kill, *name_locals, *name_request;
};

/* --- the request as a callable --- */

static PyObject *run_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct wsgi_call *c = ((struct run *)self)->call;
    if (c->finished || c->stage != CALL_GREENLET) {
        PyErr_SetString(PyExc_RuntimeError, "the request was called already");
        return NULL;
    }
    c->wsgi->greenlets->ops->run(c);
    Py_RETURN_NONE;
}

static PyObject *run_repr(PyObject *self)
{
    char line[APP_DESCRIPTION];
    wsgi_call_describe(((struct run *)self)->call, line, sizeof line);
    return PyUnicode_DecodeUTF8(line, (Py_ssize_t)strlen(line), "backslashreplace");
}

/* As app.blocking_warning names it. */
static PyObject *run_str(PyObject *self)
{
    const struct wsgi_call *c = ((struct run *)self)->call;
    struct span method = wsgi_call_span(c, c->method), path = wsgi_call_span(c, c->path);
    PyObject *name = PyUnicode_FromFormat("%.*s ", (int)method.n, method.p);
    PyObject *where = PyUnicode_DecodeLatin1(path.p, (Py_ssize_t)path.n, NULL);
    PyUnicode_AppendAndDel(&name, where);
    return name;
}

static void run_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    wsgi_call_unref(((struct run *)self)->call);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot run_slots[] = {
    { Py_tp_dealloc, run_dealloc }, { Py_tp_call, run_call }, { Py_tp_repr, run_repr }, { Py_tp_str, run_str }, { 0 },
};

static PyType_Spec run_spec = {
    .name = "tine.Request",
    .basicsize = sizeof(struct run),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = run_slots,
};

static PyObject *run_new(struct wsgi_call *c)
{
    struct run *run = PyObject_New(struct run, c->wsgi->greenlets->run_type);
    if (run)
        run->call = wsgi_call_ref(c);
    return (PyObject *)run;
}

/* --- where the thread is --- */

/* Borrowed, since it runs; NULL: no exception. */
static PyObject *current(const struct wsgi *wsgi)
{
    PyObject *greenlet = PyObject_CallNoArgs(wsgi->greenlets->getcurrent);
    if (!greenlet)
        PyErr_Clear();
    Py_XDECREF(greenlet);
    return greenlet;
}

bool wsgi_greenlet_may_wait(const struct wsgi *wsgi)
{
    return wsgi->greenlets && wsgi_pool_is_loop(wsgi->pool) && current(wsgi) != wsgi->greenlets->hub;
}

/* --- the beginning of a call --- */

/* What it spawns inherits the dictionary, so that an error can be said to be of this request (host_gevent.py). */
static int name_request(const struct wsgi_greenlets *g, PyObject *greenlet, PyObject *run)
{
    PyObject *locals = PyDict_New();
    int r = locals && PyDict_SetItem(locals, g->name_request, run) == 0
                ? PyObject_SetAttr(greenlet, g->name_locals, locals)
                : -1;
    Py_XDECREF(locals);
    return r;
}

/* Until the application waits or ends. 0, or -1 with an exception set: it was not called. */
static int start(struct wsgi_call *c)
{
    const struct wsgi_greenlets *g = c->wsgi->greenlets;
    PyObject *run = run_new(c), *greenlet = run ? PyObject_CallOneArg(g->greenlet_type, run) : NULL;
    if (!greenlet || name_request(g, greenlet, run) < 0) {
        Py_XDECREF(greenlet);
        Py_XDECREF(run);
        return -1;
    }
    c->is_inline = true;
    c->greenlet = Py_NewRef(greenlet);
    c->begun_ns = clock_ns();
    atomic_store_explicit(&c->taken_ns, c->begun_ns, memory_order_relaxed);
    PyObject *r = PyObject_CallMethodNoArgs(greenlet, g->name_switch);
    if (!r)
        pyerr_log(LOG_LEVEL_ERROR, "A greenlet has failed");
    Py_XDECREF(r);
    Py_DECREF(greenlet);
    Py_DECREF(run);
    return 0;
}

static void start_first(struct wsgi_greenlets *g)
{
    struct wsgi_call *c = TAILQ_FIRST(&g->ready);
    TAILQ_REMOVE(&g->ready, c, queue);
    c->queued = false;
    g->begun++;
    wsgi_call_ref(c);
    if (start(c) < 0)
        g->ops->refuse(c);
    if (!forked_is_child()) /* where the hub may go on, with nothing of ours */
        wsgi_call_unref(c);
}

/* 0, or -1 with an exception set. */
static int tell(struct wsgi_greenlets *g)
{
    PyObject *r = g->told ? Py_NewRef(Py_None) : PyObject_CallOneArg(g->run_callback, g->start);
    g->told = r != NULL;
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static size_t count(const struct wsgi_calls *calls)
{
    const struct wsgi_call *c;
    size_t n = 0;
    TAILQ_FOREACH (c, calls, queue)
        n++;
    return n;
}

/* The hub calls it. Those that come meanwhile have the next round, so that others have theirs. */
static PyObject *start_ready(PyObject *capsule, PyObject *unused)
{
    struct wsgi_greenlets *g = PyCapsule_GetPointer(capsule, NULL);
    if (!g || forked_is_child())
        return g ? Py_NewRef(Py_None) : NULL;
    g->told = false;
    for (size_t n = count(&g->ready); n && !TAILQ_EMPTY(&g->ready) && !forked_is_child(); n--)
        start_first(g);
    if (forked_is_child())
        Py_RETURN_NONE;
    pyloop_touched(g->wsgi->env.loop);
    if (!TAILQ_EMPTY(&g->ready) && tell(g) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef start_ready_def = { "start_ready", start_ready, METH_NOARGS, NULL };

int wsgi_greenlet_push(struct wsgi_call *c)
{
    struct wsgi_greenlets *g = c->wsgi->greenlets;
    if (tell(g) < 0)
        return -1;
    c->queued = true;
    TAILQ_INSERT_TAIL(&g->ready, c, queue);
    return 0;
}

bool wsgi_greenlet_take_back(struct wsgi_call *c)
{
    bool queued = c->queued;
    if (queued)
        TAILQ_REMOVE(&c->wsgi->greenlets->ready, c, queue);
    c->queued = false;
    return queued;
}

/* --- waiting --- */

static void remove_waiter(struct wsgi_call *c, PyObject *waiter)
{
    for (Py_ssize_t i = 0; c->waiters && i < PyList_GET_SIZE(c->waiters); i++)
        if (PyList_GET_ITEM(c->waiters, i) == waiter) {
            PyList_SetSlice(c->waiters, i, i + 1, NULL);
            break;
        }
    if (c->waiters && !PyList_GET_SIZE(c->waiters))
        Py_CLEAR(c->waiters);
}

static int add_waiter(struct wsgi_call *c, PyObject *waiter)
{
    if (!c->waiters && !(c->waiters = PyList_New(0)))
        return -1;
    return PyList_Append(c->waiters, waiter);
}

/* It is asked after the waiter is there: whatever changes from then on wakes it. */
int wsgi_greenlet_wait(struct wsgi_call *c, bool (*must)(struct wsgi_call *c))
{
    const struct wsgi_greenlets *g = c->wsgi->greenlets;
    PyObject *waiter = PyObject_CallNoArgs(g->waiter_type), *r = NULL;
    if (waiter && add_waiter(c, waiter) == 0)
        r = must(c) ? PyObject_CallMethodNoArgs(waiter, g->name_get) : Py_NewRef(Py_None);
    if (waiter)
        remove_waiter(c, waiter);
    Py_XDECREF(waiter);
    Py_XDECREF(r);
    return r ? fork_child_refuse("the request is") : -1;
}

/* A waiter that waits no more keeps the value, and nothing happens. */
static void wake(const struct wsgi_greenlets *g, PyObject *waiter)
{
    PyObject *method = PyObject_GetAttr(waiter, g->name_switch);
    PyObject *r = method ? PyObject_CallFunctionObjArgs(g->run_callback, method, Py_None, NULL) : NULL;
    if (!r)
        pyerr_log(LOG_LEVEL_CRITICAL, "A greenlet that waits for its client cannot be woken");
    Py_XDECREF(r);
    Py_XDECREF(method);
}

void wsgi_greenlet_wake_all(struct wsgi_call *c)
{
    PyObject *waiters = c->waiters;
    if (!waiters)
        return;
    c->waiters = NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(waiters); i++)
        wake(c->wsgi->greenlets, PyList_GET_ITEM(waiters, i));
    Py_DECREF(waiters);
}

void wsgi_greenlet_kill(struct wsgi_call *c)
{
    const struct wsgi_greenlets *g = c->wsgi->greenlets;
    PyObject *greenlet = Py_XNewRef(c->greenlet);
    if (!greenlet)
        return;
    if (!c->killed_ns)
        c->killed_ns = clock_ns();
    PyObject *r = PyObject_CallMethodObjArgs(greenlet, g->name_kill, g->exit_type, Py_False, NULL);
    if (!r)
        pyerr_log(LOG_LEVEL_ERROR, "A greenlet cannot be ended");
    Py_XDECREF(r);
    Py_DECREF(greenlet);
}

char *wsgi_greenlet_stack(const struct wsgi_call *c)
{
    PyObject *frame = c->greenlet ? PyObject_GetAttrString(c->greenlet, "gr_frame") : NULL;
    char *stack = frame && frame != Py_None ? stacks_of_frame(frame) : NULL;
    Py_XDECREF(frame);
    PyErr_Clear();
    return stack;
}

bool wsgi_greenlet_was_killed(const struct wsgi_call *c, PyObject *exception)
{
    return c->killed_ns && PyErr_GivenExceptionMatches(exception, c->wsgi->greenlets->exit_type);
}

/* --- how many there are --- */

/* Lost ones only wait, and do not count: but no more of them than there may be others. */
unsigned wsgi_greenlets_most(const struct wsgi *wsgi)
{
    unsigned spare = wsgi->threads == 1 ? 0 : wsgi->lost < wsgi->threads ? wsgi->lost : wsgi->threads;
    return wsgi->threads + spare;
}

static enum interface_room room_of(const struct wsgi *wsgi)
{
    struct wsgi_greenlets *g = wsgi->greenlets;
    uint64_t now = clock_ns(), patience = wsgi->env.conf->server.timeout;
    if (g->begun != g->progress || TAILQ_EMPTY(&wsgi->waiting))
        g->progress_ns = now;
    g->progress = g->begun;
    if (wsgi->lost >= wsgi_greenlets_most(wsgi))
        return ROOM_LOST;
    return now - g->progress_ns > (patience ? patience : WSGI_STALLED_MS) * 1000000u ? ROOM_STALLED : ROOM_FREE;
}

void wsgi_greenlets_count(const struct wsgi *wsgi, struct interface_threads *ret)
{
    *ret = (struct interface_threads){ wsgi->threads, wsgi->n_greenlets, wsgi->lost, room_of(wsgi) };
}

/* --- life --- */

/* NULL: exception set. */
static PyObject *attribute_of(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *found = module ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return found;
}

static int find_names(struct wsgi_greenlets *g)
{
    return (g->name_switch = PyUnicode_InternFromString("switch")) &&
                   (g->name_get = PyUnicode_InternFromString("get")) &&
                   (g->name_kill = PyUnicode_InternFromString("kill")) &&
                   (g->name_locals = PyUnicode_InternFromString("spawn_tree_locals")) &&
                   (g->name_request = PyUnicode_InternFromString("tine.request"))
               ? 0
               : -1;
}

static int find_hub(struct wsgi_greenlets *g)
{
    PyObject *get_hub = attribute_of("gevent", "get_hub"), *loop = NULL;
    g->hub = get_hub ? PyObject_CallNoArgs(get_hub) : NULL;
    loop = g->hub ? PyObject_GetAttrString(g->hub, "loop") : NULL;
    g->run_callback = loop ? PyObject_GetAttrString(loop, "run_callback") : NULL;
    Py_XDECREF(loop);
    Py_XDECREF(get_hub);
    return g->run_callback ? 0 : -1;
}

static int find_gevent(struct wsgi_greenlets *g)
{
    return (g->getcurrent = attribute_of("gevent", "getcurrent")) &&
                   (g->greenlet_type = attribute_of("gevent", "Greenlet")) &&
                   (g->waiter_type = attribute_of("gevent.hub", "Waiter")) &&
                   (g->exit_type = attribute_of("gevent", "GreenletExit"))
               ? find_hub(g)
               : -1;
}

static int make_start(struct wsgi_greenlets *g)
{
    PyObject *capsule = PyCapsule_New(g, NULL, NULL);
    g->start = capsule ? PyCFunction_New(&start_ready_def, capsule) : NULL;
    Py_XDECREF(capsule);
    return g->start ? 0 : -1;
}

int wsgi_greenlets_init(struct wsgi *wsgi, const struct wsgi_greenlet_ops *ops)
{
    struct wsgi_greenlets *g = calloc(1, sizeof *g);
    if (!g || frame_memory_keep() < 0) {
        free(g);
        PyErr_NoMemory();
        return -1;
    }
    wsgi->greenlets = g;
    g->wsgi = wsgi;
    g->ops = ops;
    TAILQ_INIT(&g->ready);
    g->run_type = (PyTypeObject *)PyType_FromSpec(&run_spec);
    return g->run_type && find_names(g) == 0 && make_start(g) == 0 ? find_gevent(g) : -1;
}

void wsgi_greenlets_done(struct wsgi *wsgi)
{
    struct wsgi_greenlets *g = wsgi->greenlets;
    if (!g)
        return;
    PyObject **all[] = { &g->start,         &g->hub,         &g->run_callback, &g->getcurrent,
                         &g->greenlet_type, &g->waiter_type, &g->exit_type,    &g->name_switch,
                         &g->name_get,      &g->name_kill,   &g->name_locals,  &g->name_request };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        Py_CLEAR(*all[i]);
    Py_CLEAR(g->run_type);
    free(g);
    wsgi->greenlets = NULL;
}
