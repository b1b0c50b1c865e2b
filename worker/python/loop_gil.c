/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_gil.c: takes the GIL for a libevent callback that touches Python, at most once in a poll (loop_turn.c says when it
 * is released). */
#include "common/clock.h"
#include "common/likely.h"
#include "worker/python/loop_priv.h"
#include "worker/python/step_watch.h"

void loop_leave_gil(struct pyloop *loop)
{
    loop->held_since = 0;
    atomic_store_explicit(&loop->released, true, memory_order_relaxed);
    PyEval_SaveThread();
}

void loop_take_gil(struct pyloop *loop)
{
    loop->entered++;
    if (unlikely(loop->step_watch) && loop->polling)
        step_watch_begin(loop->step_watch);
    if (!loop_has_released(loop))
        return;
    atomic_store_explicit(&loop->released, false, memory_order_relaxed);
    uint64_t from = clock_ns();
    PyEval_RestoreThread(loop->tstate);
    loop->gil_wait_ns += clock_ns() - from;
}

void pyloop_enter(struct pyloop *loop)
{
    loop_take_gil(loop);
    if (unlikely(loop->hidden))
        loop_show(loop);
}

void pyloop_enter_hidden(struct pyloop *loop)
{
    loop_take_gil(loop);
    if (!loop->hidden)
        loop_hide(loop);
}

uint64_t pyloop_gil_wait(const struct pyloop *loop)
{
    return loop->gil_wait_ns;
}

struct step_watch *pyloop_step_watch(const struct pyloop *loop)
{
    return loop->step_watch;
}
