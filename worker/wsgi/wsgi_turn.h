/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_turn.h: when a call has its turn in the application, and where it runs: in a thread of the pool, in a greenlet, or on the
 * loop's thread. The loop's thread alone, unless it says otherwise. */
#ifndef TINE_WSGI_WSGI_TURN_H
#define TINE_WSGI_WSGI_TURN_H

struct wsgi;
struct wsgi_call;
struct wsgi_greenlet_ops;

/* What the application needs of the body to begin is here: it begins now or later. The call may be over afterwards. */
void wsgi_turn_take(struct wsgi_call *c);
/* The first of those that wait may have their turn. */
void wsgi_turn_next(struct wsgi *wsgi);
/* Inline: the client has taken some of the answer, or has gone. The call may be over afterwards. */
void wsgi_turn_resume(struct wsgi_call *c);
/* The application has ended, or will not be called: drops the reference of what ran it. */
void wsgi_turn_end(struct wsgi_call *c);

/* What greenlets run. */
extern const struct wsgi_greenlet_ops wsgi_turn_greenlets;

#endif
