/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_hearing.c: what a worker does when it finds itself deaf (net/hearing.h): it logs one line, listens anew, so that
 * no client waits, and asks to be replaced, since it cannot know what else was done to it. */
#include <event2/event.h>

#include "common/log.h"
#include "worker/worker.h"

/* The order to drain must be heard. */
static void watch_master_anew(struct worker *w)
{
    event_del(&w->ipc_event);
    if (event_add(&w->ipc_event, NULL) < 0)
        log_error("worker cannot listen to the master any more");
}

void worker_hear(struct worker *w)
{
    char room[HEARING_WHY];
    const char *why = w->state == WORKER_SERVING ? hearing_fault(&w->hearing, w->acceptor, room) : NULL;
    if (!why)
        return;
    watch_master_anew(w);
    if (w->is_deaf) /* its successor is on its way */
        return;
    w->is_deaf = true;
    log_error("worker is deaf: %s; asking to be replaced", why);
    w->events->wants_successor(w, "it is deaf");
}
