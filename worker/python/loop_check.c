/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_check.c: whether this process and this thread may use the loop; asyncio's exceptions if not. */
#include "worker/python/loop_priv.h"

int loop_check_closed(struct pyloop *loop)
{
    if (!loop->closed && loop->opened && loop_is_alive(loop))
        return 0;
    PyErr_SetString(PyExc_RuntimeError,
                    loop_is_dead(loop)
                        ? "this process was forked by the application, and the event loop is its parent's: "
                          "asyncio.run() makes one that works here"
                        : "Event loop is closed");
    return -1;
}

int loop_check_thread(struct pyloop *loop)
{
    if (!loop->thread || loop->thread == PyThread_get_thread_ident())
        return 0;
    PyErr_SetString(PyExc_RuntimeError,
                    "Non-thread-safe operation invoked on an event loop other than the current one: "
                    "use loop.call_soon_threadsafe()");
    return -1;
}

int loop_check_home(struct pyloop *loop)
{
    if (!loop->home || loop->home == PyThread_get_thread_ident())
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "this event loop is the server's, which runs it in a thread of its own");
    return -1;
}
