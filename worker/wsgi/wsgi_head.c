/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_head.c: see wsgi_head.h. The loop looks at the calls that run once in every http.head_delay: a head that it sees
 * for the second time leaves. */
#include "worker/wsgi/wsgi_head.h"

#include <Python.h>
#include <event2/event.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/http/held.h"
#include "worker/python/loop.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_out.h"
#include "worker/wsgi/wsgi_state.h"

/* GIL held, so the thread that runs the call is not at it. */
static void let_go(struct wsgi_call *c)
{
    struct wsgi_piece piece = { .answer = c->answer, .fd = -1 };
    if (!c->answer || c->head_sent || !c->req)
        return;
    c->answer = NULL;
    c->head_sent = true;
    atomic_store(&c->head_place, HEAD_GONE);
    enum resp_result result = wsgi_out_give(c, &piece);
    if (result == RESP_SENT)
        resp_flush(c->req);
    free(piece.answer);
}

/* In the application, and the loop goes on meanwhile. */
static bool is_inside(const struct wsgi_call *c)
{
    return c->stage == CALL_POOL || c->stage == CALL_GREENLET;
}

/* Held when it was looked at last, and still. */
static bool is_due(struct wsgi_call *c)
{
    bool held = is_inside(c) && atomic_load(&c->head_place) == HEAD_HELD, due = held && c->head_seen;
    c->head_seen = held;
    return due;
}

static void on_timer(int fd, short what, void *arg)
{
    struct wsgi *wsgi = arg;
    struct wsgi_call *c;
    bool any = false;
    wsgi->heads_watched = false;
    TAILQ_FOREACH (c, &wsgi->calls, all) { /* a call that has begun stays there until its thread has ended it */
        if (is_due(c)) {
            pyloop_enter_hidden(wsgi->env.loop);
            let_go(c);
        }
        any |= is_inside(c) && atomic_load(&c->head_place) != HEAD_GONE;
    }
    if (any)
        wsgi_head_watch(wsgi);
}

int wsgi_head_init(struct wsgi *wsgi)
{
    wsgi->head_timer = evtimer_new(wsgi->env.base, on_timer, wsgi);
    return wsgi->head_timer ? 0 : -1;
}

void wsgi_head_done(struct wsgi *wsgi)
{
    if (wsgi->head_timer)
        event_free(wsgi->head_timer);
}

void wsgi_head_watch(struct wsgi *wsgi)
{
    uint64_t delay = wsgi->env.conf->http.head_delay;
    struct timeval tv = timeval_of_ms(delay);
    if (!wsgi->heads_watched && delay)
        wsgi->heads_watched = timer_add(wsgi->head_timer, &tv) == 0;
}

bool wsgi_head_is_urgent(const struct wsgi_call *c)
{
    const struct wsgi_answer *a = c->answer;
    if (a && !c->wsgi->env.conf->http.head_delay)
        return true;
    for (size_t i = 0; a && i < a->n; i++) {
        if (held_is_event_stream(&a->fields[i]))
            return true;
    }
    return false;
}
