/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_timer.c: the timers that call_later() and call_at() (loop_methods.c) make: a heap of handles and one timerfd.
 *
 * A timerfd and not an evtimer: libevent's clock is the coarse one (4 ms, and it fires early), and
 * its precise one costs a system call in every turn. The descriptor is set only when the first
 * timer comes before what it is set to, so the usual timeout that is made and cancelled costs no
 * system call at all. Nothing runs before its time.
 */
#include <errno.h>
#include <math.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/descriptors.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "worker/python/loop_handle.h"
#include "worker/python/loop_priv.h"

enum { FIRST_CAP = 64 };
/* For a timer that is due so soon the loop turns and does not wait, which would take longer. */
#define SOON_NS 4000

static bool before(const struct timer *a, const struct timer *b)
{
    return a->when < b->when || (a->when == b->when && a->seq < b->seq);
}

static void heap_put(struct pyloop *loop, size_t i, struct timer t)
{
    loop->timers.v[i] = t;
    handle_place(loop->st, t.handle)->index_plus_one = i + 1;
}

static void sift_up(struct pyloop *loop, size_t i, struct timer t)
{
    struct timer *v = loop->timers.v;
    for (size_t parent; i > 0 && before(&t, &v[parent = (i - 1) / 2]); i = parent)
        heap_put(loop, i, v[parent]);
    heap_put(loop, i, t);
}

static void sift_down(struct pyloop *loop, size_t i, struct timer t)
{
    struct timers *ts = &loop->timers;
    for (size_t child; (child = 2 * i + 1) < ts->n; i = child) {
        if (child + 1 < ts->n && before(&ts->v[child + 1], &ts->v[child]))
            child++;
        if (before(&t, &ts->v[child]))
            break;
        heap_put(loop, i, ts->v[child]);
    }
    heap_put(loop, i, t);
}

/* Takes out place i; the reference becomes the caller's. */
static PyObject *heap_take(struct pyloop *loop, size_t i)
{
    struct timers *ts = &loop->timers;
    PyObject *handle = ts->v[i].handle;
    struct timer last = ts->v[--ts->n];
    handle_place(loop->st, handle)->index_plus_one = 0;
    Py_ssize_t at = loop->st->layout.scheduled;
    Py_XSETREF(HANDLE_SLOT(handle, at), Py_NewRef(Py_False));
    if (i == ts->n)
        return handle;
    if (i > 0 && before(&last, &ts->v[(i - 1) / 2]))
        sift_up(loop, i, last);
    else
        sift_down(loop, i, last);
    return handle;
}

static int make_room(struct timers *ts)
{
    if (ts->n < ts->cap)
        return 0;
    size_t cap = ts->cap ? ts->cap * 2 : FIRST_CAP;
    struct timer *v = PyMem_RawRealloc(ts->v, cap * sizeof *v);
    if (!v) {
        PyErr_NoMemory();
        return -1;
    }
    ts->v = v;
    ts->cap = cap;
    return 0;
}

int timers_add(struct pyloop *loop, PyObject *handle, int64_t when)
{
    struct timers *ts = &loop->timers;
    if (make_room(ts))
        return -1;
    Py_XSETREF(HANDLE_SLOT(handle, loop->st->layout.scheduled), Py_NewRef(Py_True));
    struct timer t = { .when = when, .seq = ts->seq++, .handle = Py_NewRef(handle) };
    sift_up(loop, ts->n++, t);
    return 0;
}

void timers_remove(struct pyloop *loop, PyObject *handle)
{
    size_t i = handle_place(loop->st, handle)->index_plus_one;
    if (i > 0 && i <= loop->timers.n && loop->timers.v[i - 1].handle == handle) /* or its _loop was changed */
        Py_DECREF(heap_take(loop, i - 1));
}

bool timers_due(const struct pyloop *loop)
{
    return loop->timers.n > 0 && loop->timers.v[0].when <= (int64_t)clock_ns() + SOON_NS;
}

void timers_arm(struct pyloop *loop)
{
    struct timers *ts = &loop->timers;
    if (ts->n == 0 || ts->v[0].when >= ts->armed || timers_due(loop))
        return;
    int64_t when = ts->v[0].when > 0 ? ts->v[0].when : 1; /* 0 would disarm */
    struct itimerspec spec = {
        .it_value = { .tv_sec = when / 1000000000, .tv_nsec = when % 1000000000 },
    };
    if (!timerfd_settime(ts->fd, TFD_TIMER_ABSTIME, &spec, NULL))
        ts->armed = when;
    else if (loop->home)
        descriptor_lost("the event loop's timer");
}

int timers_expire(struct pyloop *loop)
{
    struct timers *ts = &loop->timers;
    if (ts->n == 0)
        return 0;
    int64_t now = (int64_t)clock_ns();
    while (ts->n > 0 && ts->v[0].when <= now)
        if (ready_push(loop, heap_take(loop, 0)))
            return -1;
    return 0;
}

static void on_timerfd(evutil_socket_t fd, short what, void *arg)
{
    struct pyloop *loop = arg;
    uint64_t expirations;
    if (!loop->edge && read(fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
        return;
    loop->timers.armed = INT64_MAX;
    loop->entered++; /* the next timer must be set before anything waits */
}

int timers_open(struct pyloop *loop)
{
    struct timers *ts = &loop->timers;
    ts->armed = INT64_MAX;
    ts->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    forked_own(ts->fd);
    short what = (short)(EV_READ | EV_PERSIST | (loop->edge ? EV_ET : 0));
    if (ts->fd < 0 || event_assign(&ts->event, loop->base, ts->fd, what, on_timerfd, loop) ||
        event_add(&ts->event, NULL)) {
        fd_close(&ts->fd);
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

void timers_detach(struct pyloop *loop)
{
    struct timers *ts = &loop->timers;
    if (ts->fd >= 0)
        event_del(&ts->event);
    fd_close(&ts->fd);
}

void timers_close(struct pyloop *loop)
{
    struct timers *ts = &loop->timers;
    while (ts->n > 0)
        Py_DECREF(heap_take(loop, ts->n - 1));
    PyMem_RawFree(ts->v);
    ts->v = NULL;
    ts->cap = 0;
    timers_detach(loop);
}

int timer_when(PyObject *seconds, int64_t *ret_ns)
{
    double s = PyFloat_AsDouble(seconds);
    if (s == -1.0 && PyErr_Occurred())
        return -1;
    double ns = ceil(s * 1e9) + 1; /* the product may have been rounded down */
    if (ns >= 9.2e18)
        *ret_ns = INT64_MAX - 1;
    else
        *ret_ns = ns > 0 ? (int64_t)ns : 0; /* not a number: at once */
    return 0;
}
