/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_beat.c: what a worker looks at once a second: that its descriptors are still its own, what has refused its
 * interpreter, and how many of its threads are busy. An idle loop has no other turns, so it is also by this that the master
 * sees that the worker lives; in its first seconds four times as often, while its generation proves itself. */
#include <errno.h>
#include <event2/event.h>
#include <unistd.h>

#include "common/log.h"
#include "common/scoreboard.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/log/access_log.h"
#include "worker/worker.h"

/* libevent cannot go on. Of a descriptor that it has lost it says no more than that; errno is still that of its call. */
static void on_libevent_fatal(int code)
{
    if (errno == EBADF || errno == ENOTSOCK)
        descriptor_lost("what the event loop waits on");
    _exit(WORKER_EXIT_BOOT);
}

void worker_note_descriptors(struct worker *w, const int *before, size_t n)
{
    event_set_fatal_callback(on_libevent_fatal); /* in place of the master's */
    const struct heritage *h = w->heritage;
    descriptors_add_new(&w->descriptors, before, n, "what the event loop waits on");
    descriptors_add(&w->descriptors, h->ipc_fd, "the channel to the master");
    descriptors_add(&w->descriptors, h->stacks_fd, "the pipe for stacks");
    for (size_t i = 0; i < h->n_listeners; i++)
        descriptors_add(&w->descriptors, h->listeners[i].fd, "a listening socket");
}

static const char *find_lost(const struct worker *w)
{
    if (!log_is_whole())
        return "the error log";
    if (w->access_log && !access_log_is_whole(w->access_log))
        return "the access log";
    return descriptors_lost(&w->descriptors);
}

/* While the worker drains it closes some itself. */
void worker_check_descriptors(struct worker *w)
{
    const char *lost = w->state == WORKER_SERVING ? find_lost(w) : NULL;
    if (lost)
        descriptor_lost(lost);
}

static void beat_every(struct worker *w, uint64_t ms)
{
    uint64_t us = w->conf->server.timeout * 1000 / 4;
    if (!us || us > ms * 1000)
        us = ms * 1000;
    struct timeval every = { (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };
    timer_add(&w->beat_event, &every);
}

static void grow_up(struct worker *w)
{
    w->young_beats--;
    if (!w->young_beats)
        beat_every(w, WORKER_BEAT_MS);
}

/* The loss of most descriptors shows when they are used; that of a timer or a log would not. */
static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    log_set_zone(atomic_load_explicit(&w->heritage->scoreboard->common->utc_offset, memory_order_relaxed));
    worker_check_descriptors(w);
    worker_hear(w);
    if (w->app) {
        worker_app_count_threads(w->app);
        worker_app_look_at_refusals(w->app);
    }
    if (w->young_beats)
        grow_up(w);
}

void worker_beat_new(struct worker *w)
{
    event_assign(&w->beat_event, w->base, -1, EV_PERSIST, on_beat, w);
}

void worker_beat_start(struct worker *w)
{
    w->young_beats = WORKER_YOUNG_MS / WORKER_YOUNG_BEAT_MS;
    beat_every(w, WORKER_YOUNG_BEAT_MS);
}
