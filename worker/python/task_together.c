/* SPDX-License-Identifier: BSD-3-Clause */
/* task_together.c: first steps that one poll of the loop's events has asked for, run one after the other when all events
 * have been looked at. The kernel's code, the server's and Python's then each run several times in a row and find
 * themselves in the processor's caches: 5 to 9 % of the CPU of a small request at 32 connections. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/task_priv.h"

enum { MOST = 64, MOST_ARGS = 3 };

/* What was sent so far leaves after this time, so that the first client does not wait for the last one's answer. */
#define LEAVE_NS (1000ul * 1000)
/* A step that takes so long keeps what was sent before it: for some time then everything leaves at once. */
#define BLOCKS_NS (20ul * 1000 * 1000)
#define ALONE_NS (1000ul * 1000 * 1000)

/* Owns what it points to. */
struct waiting {
    struct pytasks *tasks;
    PyObject *callable;
    PyObject *args[MOST_ARGS];
    Py_ssize_t n;
    pytask_done_fn *done;
    PyObject *arg;
    bool cancelled;
};

struct together {
    unsigned n, next; /* of `v`, and of those the next one to run */
    bool running;
    bool gathering; /* between begin and end */
    uint64_t since_ns; /* since when */
    uint64_t alone_until_ns;
    struct pytasks_gather gather;
    struct waiting v[MOST];
};

/* --- the steps --- */

static void begin(struct together *t, uint64_t now)
{
    if (!t->gather.begin || now < t->alone_until_ns)
        return;
    t->gathering = true;
    t->since_ns = now;
    t->gather.begin(t->gather.arg);
}

static void end(struct together *t)
{
    if (t->gathering)
        t->gather.end(t->gather.arg);
    t->gathering = false;
}

static void start(struct waiting *w)
{
    struct job job = { .callable = w->callable, .args = w->args, .n = w->n, .done = w->done, .arg = w->arg };
    w->tasks->running--;
    if (w->cancelled ? task_start_cancelled(w->tasks, &job) : task_start(w->tasks, &job)) {
        PyObject *exception = pyerr_take();
        w->done(w->arg, NULL, exception);
        Py_DECREF(exception);
    }
}

static void forget(struct waiting *w)
{
    struct waiting old = *w;
    *w = (struct waiting){ 0 };
    for (Py_ssize_t i = 0; i < old.n; i++)
        Py_DECREF(old.args[i]);
    Py_DECREF(old.callable);
    Py_XDECREF(old.arg);
    Py_DECREF((PyObject *)old.tasks);
}

static uint64_t run_one(struct pyloop *loop, struct waiting *w, uint64_t now)
{
    struct together *t = loop->together;
    if (unlikely(loop->step_watch))
        step_watch_begin(loop->step_watch);
    if (w->tasks)
        start(w);
    uint64_t then = clock_ns();
    if (unlikely(then - now >= BLOCKS_NS))
        t->alone_until_ns = then + ALONE_NS;
    if (t->gathering && then - t->since_ns >= LEAVE_NS) {
        end(t);
        begin(t, then);
    }
    return then;
}

/* The rest waits for the next poll, which does not wait for anything. */
static void keep_rest(struct pyloop *loop)
{
    struct together *t = loop->together;
    t->n -= t->next;
    memmove(t->v, t->v + t->next, t->n * sizeof *t->v);
    t->next = 0;
    loop->has_waiting = t->n > 0;
}

static bool is_full(const struct together *t)
{
    return t->gather.full && t->gather.full(t->gather.arg);
}

static void run_waiting(struct pyloop *loop)
{
    struct together *t = loop->together;
    if (likely(!t->n) || t->running)
        return;
    pyloop_enter(loop);
    t->running = true;
    uint64_t now = clock_ns();
    if (t->n > 1)
        begin(t, now);
    do {
        struct waiting w = t->v[t->next];
        t->v[t->next++] = (struct waiting){ 0 };
        now = run_one(loop, &w, now);
        if (w.tasks)
            forget(&w);
    } while (t->next < t->n && !is_full(t));
    keep_rest(loop);
    end(t);
    t->running = false;
}

/* NULL: no memory. */
static struct together *together_of(struct pyloop *loop)
{
    if (!loop->together) {
        loop->together = calloc(1, sizeof *loop->together);
        loop->after_events = loop->together ? run_waiting : NULL;
    }
    return loop->together;
}

void pytasks_gather(struct pyloop *loop, const struct pytasks_gather *gather)
{
    struct together *t = together_of(loop);
    if (t)
        t->gather = *gather;
}

/* --- the rest of a task's life --- */

static bool may_wait(const struct pytasks *tasks, Py_ssize_t n)
{
    return tasks->loop && !tasks->host && tasks->loop->polling && !tasks->loop->guest && n <= MOST_ARGS;
}

int pytask_call_together(struct pytasks *tasks, PyObject *callable, PyObject *const *args, Py_ssize_t n,
                         pytask_done_fn *done, PyObject *arg)
{
    struct together *t = may_wait(tasks, n) ? together_of(tasks->loop) : NULL;
    if (!t || t->running || t->n == MOST)
        return pytask_call(tasks, callable, args, n, done, arg);
    struct waiting *w = &t->v[t->n++];
    *w = (struct waiting){ .tasks = (struct pytasks *)Py_NewRef((PyObject *)tasks),
                           .callable = Py_NewRef(callable),
                           .n = n,
                           .done = done,
                           .arg = Py_XNewRef(arg) };
    for (Py_ssize_t i = 0; i < n; i++)
        w->args[i] = Py_NewRef(args[i]);
    tasks->running++;
    return 0;
}

void together_cancel(struct pytasks *tasks, const PyObject *arg, const PyObject *spared)
{
    struct together *t = tasks->loop ? tasks->loop->together : NULL;
    for (unsigned i = t ? t->next : 0; t && i < t->n; i++) {
        struct waiting *w = &t->v[i];
        if (w->tasks == tasks && (arg ? w->arg == arg : !spared || w->arg != spared))
            w->cancelled = true;
    }
}

void together_abandon(struct pytasks *tasks)
{
    struct together *t = tasks->loop->together;
    for (unsigned i = t ? t->next : 0; t && i < t->n; i++) {
        struct waiting w = t->v[i];
        if (w.tasks != tasks)
            continue;
        t->v[i] = (struct waiting){ 0 };
        tasks->running--;
        PyObject *exception = PyObject_CallNoArgs(PyExc_GeneratorExit);
        if (!exception)
            exception = pyerr_take();
        w.done(w.arg, NULL, exception);
        Py_DECREF(exception);
        forget(&w);
    }
}
