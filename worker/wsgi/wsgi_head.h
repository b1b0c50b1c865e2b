/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_head.h: the head of an answer whose application takes its time for the first piece. PEP 3333 keeps it back until then, so
 * that start_response() can replace it; but a client that waits for it (EventSource, fetch()) sees nothing. Once the application
 * has returned its iterable, the head waits for http.head_delay, and that of text/event-stream not at all.
 *
 * Only for calls of the pool and greenlets: what else runs on the loop's thread holds up the clock as well. */
#ifndef TINE_WSGI_WSGI_HEAD_H
#define TINE_WSGI_WSGI_HEAD_H

#include <stdbool.h>

struct wsgi;
struct wsgi_call;

/* 0, or -1: out of memory. */
int wsgi_head_init(struct wsgi *wsgi) __attribute__((warn_unused_result));
/* Only for one that was never used. */
void wsgi_head_done(struct wsgi *wsgi);

/* The loop's thread: a call was given to the pool, or is a greenlet that waits. */
void wsgi_head_watch(struct wsgi *wsgi);

/* The thread that runs the call, GIL held: whether the head must not wait for the first piece. */
bool wsgi_head_is_urgent(const struct wsgi_call *c);

#endif
