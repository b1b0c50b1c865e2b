/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_flusher.h: sends what an application on the loop's thread has given, as soon as that application waits for something.
 *
 * No piece may wait for the next one, which may take its time (PEP 3333, "Handling Block Boundaries"), and to send each by
 * itself costs more than to make it. So pieces that come fast are left to a thread that waits for the GIL: it gets it when the
 * application waits, or has computed for as long as Python lets one thread compute (sys.getswitchinterval()). Whoever has
 * the GIL may touch the connection: the loop's thread is inside the application meanwhile. Runs nothing of the application.
 */
#ifndef TINE_WSGI_WSGI_FLUSHER_H
#define TINE_WSGI_WSGI_FLUSHER_H

#include <Python.h>
#include <stdbool.h>

struct wsgi_call;
struct wsgi_flusher;

/* NULL: errno. The thread is made when it is needed. Never freed once it is. */
struct wsgi_flusher *wsgi_flusher_new(PyInterpreterState *interp);
/* Only for one that was never used. NULL is fine. */
void wsgi_flusher_free(struct wsgi_flusher *f);

/* The loop's thread, GIL held. Pieces of `c`, which runs there, were given and not sent. False: no thread can be had, and they
 * have to be sent now. */
bool wsgi_flusher_watch(struct wsgi_flusher *f, struct wsgi_call *c);
/* The same thread. The application does not run any more: what it gave is sent, or leaves with the turn. */
void wsgi_flusher_leave(struct wsgi_flusher *f);

#endif
