/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_limit.h: app.request_timeout: what becomes of a call that keeps its thread for too long. Nothing can end a thread:
 * the log has its stack, the client gets 504, the worker is asked to be replaced, and another thread stands in until it is.
 * A greenlet gets GreenletExit, and is lost in the same way if it goes on.
 * A WebSocket that was accepted may take any time. The loop's thread.
 */
#ifndef TINE_WSGI_WSGI_LIMIT_H
#define TINE_WSGI_WSGI_LIMIT_H

struct interface_threads;
struct wsgi;
struct wsgi_call;

/* 0, or -1 with errno. */
int wsgi_limit_init(struct wsgi *wsgi);
void wsgi_limit_done(struct wsgi *wsgi);
/* A call was given to the pool, or to a greenlet. */
void wsgi_limit_watch(struct wsgi *wsgi);
/* A greenlet has taken longer than `limit` says: the log has its stack, and it is ended, once. */
void wsgi_limit_end(struct wsgi_call *c, const char *limit);
/* Its application has come back after all. */
void wsgi_limit_found(struct wsgi_call *c);
/* The worker drains, and another one takes its place: calls that no thread will ever begin with get 503. */
void wsgi_limit_give_up(struct wsgi *wsgi);
/* Threads or greenlets. */
void wsgi_limit_count(struct wsgi *wsgi, struct interface_threads *ret);

#endif
