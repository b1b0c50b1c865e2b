/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_wake.c: call_soon_threadsafe(): an eventfd that ends the wait of a loop that runs in another
 * thread. What the other thread has to say is in the ready ring already, under the GIL; this file
 * carries no data. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "worker/python/loop_priv.h"

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct pyloop *loop = arg;
    uint64_t count;
    pyloop_enter(loop); /* `pending` is the GIL's */
    if (!loop->edge && read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return;
    loop->wake.pending = false;
}

void wake_loop(struct pyloop *loop)
{
    if (!loop_has_released(loop) || loop->wake.pending || loop_is_dead(loop) || !loop->thread ||
        loop->thread == PyThread_get_thread_ident())
        return;
    uint64_t one = 1;
    loop->wake.pending = write(loop->wake.fd, &one, sizeof one) == sizeof one;
    /* When the counter is full the descriptor is readable anyway. */
    if (!loop->wake.pending && errno != EAGAIN && loop->home)
        descriptor_lost("what wakes the event loop");
}

int wake_open(struct pyloop *loop)
{
    struct wake *w = &loop->wake;
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    forked_own(w->fd);
    short what = (short)(EV_READ | EV_PERSIST | (loop->edge ? EV_ET : 0));
    if (w->fd < 0 || event_assign(&w->event, loop->base, w->fd, what, on_wake, loop) || event_add(&w->event, NULL)) {
        fd_close(&w->fd);
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

void wake_close(struct pyloop *loop)
{
    if (loop->wake.fd >= 0)
        event_del(&loop->wake.event);
    fd_close(&loop->wake.fd);
}
