/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_base.c: the loop's event base: attaches the loop to one, moves it to another, and drops all that is scheduled. */
#include "common/fatal.h"
#include "worker/python/loop_priv.h"

static struct event_base *private_base(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* The two descriptors are closed here and their numbers may be another's: they are only forgotten. Nothing else is deleted
 * before event_reinit(): the epoll descriptor is still the parent's. A descriptor that has been closed since the fork is no
 * longer watched. */
static bool revive(struct pyloop *loop)
{
    bool elsewhere = loop->thread && loop->thread != PyThread_get_thread_ident();
    if (!loop->opened || loop->polling || elsewhere)
        return false;
    event_del(&loop->timers.event);
    event_del(&loop->wake.event);
    loop->timers.fd = loop->wake.fd = -1;
    loop->wake.pending = false;
    loop->depth = forked_depth;
    event_reinit(loop->base);
    if (!timers_open(loop) && !wake_open(loop))
        return true;
    PyErr_Clear();
    loop_release_base(loop);
    return false;
}

int loop_open_base(struct pyloop *loop, PyObject *capsule)
{
    if (loop->opened) {
        PyErr_SetString(PyExc_RuntimeError, "the event loop is open already");
        return -1;
    }
    loop->owns_base = capsule == Py_None;
    loop->revive = loop->owns_base ? revive : NULL;
    loop->reserves_signals = !loop->owns_base;
    loop->base = loop->owns_base ? private_base() : PyCapsule_GetPointer(capsule, LOOP_BASE_CAPSULE);
    if (!loop->base) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_OSError, "no event base can be made");
        return -1;
    }
    loop->edge = event_base_get_features(loop->base) & EV_FEATURE_ET;
    loop->opened = true;
    loop->depth = forked_depth;
    if (!timers_open(loop) && !wake_open(loop))
        return 0;
    loop_release_base(loop);
    return -1;
}

void loop_release_base(struct pyloop *loop)
{
    fatal_unless(!loop->polling || loop_is_dead(loop));
    if (!loop->opened)
        return;
    loop->opened = false;
    ready_clear(loop);
    if (loop_is_dead(loop))
        return;
    timers_close(loop);
    wake_close(loop);
    watches_close(loop);
    if (loop->owns_base)
        event_base_free(loop->base);
    loop->base = NULL;
}

static bool host_is_whole(PyObject *host)
{
    PyObject *r = PyObject_CallMethod(host, "is_whole", NULL);
    if (!r)
        PyErr_WriteUnraisable(host);
    Py_XDECREF(r);
    return r == Py_True;
}

bool pyloop_is_whole(const struct pyloop *loop)
{
    if (loop->guest)
        return host_is_whole(loop->guest->host);
    return loop->opened && !loop->closed && !loop->thread && !loop->polling;
}

bool pyloop_is_open(const struct pyloop *loop)
{
    return loop->opened;
}

int pyloop_move(struct pyloop *loop, struct event_base *base)
{
    if (loop->guest) {
        loop->base = base;
        return 0;
    }
    fatal_unless(pyloop_is_whole(loop) && !loop->owns_base);
    timers_detach(loop);
    wake_close(loop);
    loop->base = base;
    if (timers_open(loop) || wake_open(loop) || watches_move(loop))
        return -1;
    timers_arm(loop);
    return 0;
}
