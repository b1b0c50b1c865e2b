/* SPDX-License-Identifier: BSD-3-Clause */
/* guest.c: see guest.h. Knows the host only as an object with the methods of class Host, and nothing of what the base's
 * events do. */
#include "worker/python/loops/guest.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/epoll_of.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "common/timers.h"
#include "worker/python/loops/loop_ops.h"

/* libevent's clock has not come as far as ours when a timer is due: another look after so long. */
#define AGAIN_NS 1000000u

/* ---- life */

struct guest *guest_new(const struct loop_ops *ops, PyObject *host)
{
    struct guest *g = PyMem_RawCalloc(1, sizeof *g);
    if (!g) {
        Py_DECREF(host);
        PyErr_NoMemory();
        return NULL;
    }
    g->ops = ops;
    g->epoll = g->timer = -1;
    g->host = host;
    g->asyncio = PyObject_GetAttrString(host, "asyncio");
    if (!g->asyncio) {
        guest_free(g);
        return NULL;
    }
    if (g->asyncio == Py_None)
        Py_CLEAR(g->asyncio);
    PyObject *call_soon = PyObject_GetAttrString(g->host, "call_soon");
    g->has_call_soon = call_soon && call_soon != Py_None;
    Py_XDECREF(call_soon);
    PyErr_Clear();
    return g;
}

void guest_free(struct guest *g)
{
    if (!g)
        return;
    guest_detach(g);
    Py_CLEAR(g->turn);
    Py_CLEAR(g->asyncio);
    Py_CLEAR(g->host);
    PyMem_RawFree(g);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct guest *g = arg;
    g->is_due |= !g->was_told;
    g->was_told = false;
    g->armed_ns = TIMERS_NONE;
}

int guest_attach(struct guest *g, struct event_base *base)
{
    uint64_t unused;
    g->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    forked_own(g->timer);
    g->armed_ns = TIMERS_NONE;
    g->is_due = true; /* what was armed before is looked up */
    if (g->timer < 0 || event_assign(&g->timer_event, base, g->timer, EV_READ | EV_ET | EV_PERSIST, on_timer, g) ||
        event_add(&g->timer_event, NULL)) {
        fd_close(&g->timer);
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    g->epoll = epoll_of(g->timer, &unused);
    if (g->epoll >= 0)
        return 0;
    guest_detach(g);
    PyErr_Format(PyExc_RuntimeError, "app.loop = %s needs /proc, to find what the server's connections are watched by",
                 conf_loop_name(g->ops->conf));
    return -1;
}

/* That there was a turn is all. */
static void on_asked(evutil_socket_t fd, short what, void *arg)
{
    uint64_t unused;
    (void)!read(fd, &unused, sizeof unused);
}

int guest_hear(struct guest *g, struct event_base *base, int fd)
{
    if (g->hears)
        event_del(&g->asked);
    g->hears = fd >= 0 && event_assign(&g->asked, base, fd, EV_READ | EV_PERSIST, on_asked, g) == 0 &&
               event_add(&g->asked, NULL) == 0;
    return g->hears || fd < 0 ? 0 : -1;
}

void guest_detach(struct guest *g)
{
    if (g->hears)
        event_del(&g->asked);
    g->hears = false;
    if (g->timer >= 0)
        event_del(&g->timer_event);
    fd_close(&g->timer);
    g->epoll = -1;
}

/* ---- timers */

/* At once if that is in the past. */
static void arm(struct guest *g, uint64_t at_ns)
{
    struct itimerspec spec = {
        .it_value = { .tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u) },
    };
    if (at_ns == TIMERS_NONE)
        spec = (struct itimerspec){ 0 };
    if (timerfd_settime(g->timer, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
        descriptor_lost("the timer of the event loop");
}

bool guest_set_timer(struct guest *g, struct event_base *base)
{
    bool looked = g->is_due;
    if (looked) {
        timers_look(base);
        g->is_due = false;
    }
    uint64_t earliest = timers_earliest_ns;
    if (earliest == g->armed_ns)
        return false;
    if (earliest != TIMERS_NONE && earliest <= clock_coarse_ns()) {
        g->is_due = true; /* after the turn that it gets */
        return true;
    }
    /* Noted, perhaps for a timer that is gone by then: the look when it fires costs less than one now. */
    arm(g, looked && earliest != TIMERS_NONE && earliest <= clock_ns() ? clock_ns() + AGAIN_NS : earliest);
    g->armed_ns = earliest;
    return false;
}

/* ---- running */

static void note_signals(struct guest *g)
{
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        sigaction(stop_signals[i], NULL, &g->signals[i]);
    g->has_signals = true;
}

void guest_keep_signals(struct guest *g)
{
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        sigaction(stop_signals[i], &g->signals[i], NULL);
    g->has_signals = false;
}

int guest_run(struct guest *g, PyObject *turn)
{
    Py_XSETREF(g->turn, Py_NewRef(turn));
    note_signals(g);
    PyObject *r = PyObject_CallMethod(g->host, "run", "iO", g->epoll, turn);
    guest_keep_signals(g); /* it has put back what it found */
    g->wants_turn = false; /* what the host has left undone */
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static void ask(struct guest *g, const char *method)
{
    PyObject *r = PyObject_CallMethod(g->host, method, NULL);
    if (!r)
        PyErr_WriteUnraisable(g->host);
    Py_XDECREF(r);
}

void guest_stop(struct guest *g)
{
    ask(g, "stop");
}

void guest_pause(struct guest *g)
{
    if (g->paused || g->ops->style != LOOP_ASYNCIO)
        return;
    g->paused = true;
    ask(g, "pause");
}

void guest_resume(struct guest *g)
{
    if (!g->paused)
        return;
    g->paused = false;
    ask(g, "resume");
}

void guest_tell(struct guest *g)
{
    if (!g->turn)
        return;
    if (!g->has_call_soon) {
        g->wants_turn = g->was_told = true;
        arm(g, 1);
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *r = PyObject_CallMethod(g->host, "call_soon", "O", g->turn);
    if (r)
        g->wants_turn = true;
    else
        PyErr_WriteUnraisable(g->host);
    Py_XDECREF(r);
    PyErr_Restore(type, value, traceback);
}
