/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_hide.c: which loop asyncio sees, and whether it runs in this thread. Costs a call, on CPython 3.11 a getpid(2)
 * too: done only when it changes, so not for one synchronous request after the other. */
#include "worker/python/loop_priv.h"

#include "common/log.h"
#include "worker/python/pyerr.h"

PyObject *pyloop_object(const struct pyloop *loop)
{
    if (!loop->guest)
        return (PyObject *)loop;
    return loop->guest->asyncio ? loop->guest->asyncio : Py_None;
}

static void set_running(struct pyloop *loop, PyObject *running)
{
    if (!loop->set_running_loop) {
        PyObject *events = PyImport_ImportModule("asyncio.events");
        loop->set_running_loop = events ? PyObject_GetAttrString(events, "_set_running_loop") : NULL;
        Py_XDECREF(events);
    }
    PyObject *r = loop->set_running_loop ? PyObject_CallOneArg(loop->set_running_loop, running) : NULL;
    if (!r)
        pyerr_log(LOG_LEVEL_ERROR, "Cannot tell asyncio which loop runs");
    Py_XDECREF(r);
}

void loop_hide(struct pyloop *loop)
{
    if (loop->guest && !loop->guest->asyncio) /* none of asyncio's runs */
        return;
    set_running(loop, Py_None);
    loop->hidden = true;
}

void loop_show(struct pyloop *loop)
{
    loop->hidden = false;
    set_running(loop, loop->guest ? loop->guest->asyncio : (PyObject *)loop);
}
