/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_greenlet.h: calls as greenlets of gevent's hub (app.loop = gevent), all of them in the loop's thread. One that has to
 * wait switches to the hub, and goes on when it is woken; meanwhile others run.
 *
 * A switch exchanges the C stack, too: wherever Python runs or a greenlet waits, other calls run before the next line. So no
 * lock is held there, and nothing that others look at lies on the stack. GIL held. */
#ifndef TINE_WSGI_WSGI_GREENLET_H
#define TINE_WSGI_WSGI_GREENLET_H

#include <Python.h>
#include <stdbool.h>

struct interface_threads;
struct wsgi;
struct wsgi_call;
struct wsgi_greenlets;

/* What is called above; in the loop's thread. */
struct wsgi_greenlet_ops {
    /* Runs the application to its end, in its greenlet. */
    void (*run)(struct wsgi_call *c);
    /* No greenlet can be made for it; an exception is set, and taken. */
    void (*refuse)(struct wsgi_call *c);
};

/* Sets wsgi->greenlets, in the thread of the hub. 0, or -1 with an exception set. */
int wsgi_greenlets_init(struct wsgi *wsgi, const struct wsgi_greenlet_ops *ops) __attribute__((warn_unused_result));
/* Only for one that was never used. */
void wsgi_greenlets_done(struct wsgi *wsgi);

/* --- the loop's thread, in a turn or in any greenlet --- */

/* The call runs in a greenlet of its own from the hub's next round on: never inside a turn, which would wait for it, and whose
 * stack a process that the application forks would come back to. 0, or -1 with an exception set. */
int wsgi_greenlet_push(struct wsgi_call *c) __attribute__((warn_unused_result));
/* True: it had not begun, and will not. */
bool wsgi_greenlet_take_back(struct wsgi_call *c);

/* Whether code that runs here can wait: in any greenlet of the thread but the hub. */
bool wsgi_greenlet_may_wait(const struct wsgi *wsgi);
/* Waits until wsgi_greenlet_wake(), or for something else, while must(c). 0, or -1 with an exception set: the greenlet is
 * killed. */
int wsgi_greenlet_wait(struct wsgi_call *c, bool (*must)(struct wsgi_call *c)) __attribute__((warn_unused_result));
/* What waits for this call goes on in the hub's next round. In the loop's thread, from anywhere. */
void wsgi_greenlet_wake_all(struct wsgi_call *c);
/* In the loop's thread: the application is to end: it is raised GreenletExit in the hub's next round. */
void wsgi_greenlet_kill(struct wsgi_call *c);
/* As a traceback has it, where it waits; malloc'ed. NULL: it has ended, or no memory. In the loop's thread, but not in the
 * greenlet itself. */
char *wsgi_greenlet_stack(const struct wsgi_call *c);
/* How many there may be. */
unsigned wsgi_greenlets_most(const struct wsgi *wsgi);
void wsgi_greenlets_count(const struct wsgi *wsgi, struct interface_threads *ret);

/* The exception is the one by which the server ends a call. */
bool wsgi_greenlet_was_killed(const struct wsgi_call *c, PyObject *exception);

#endif
