/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_channel.h: what an application holds of an exchange: receive(), send() and the waiting of both; the same for
 * http, lifespan and websocket, which fill in struct channel_ops.
 *
 * receive() returns an awaitable that does its work when awaited (an event is never lost to a cancelled or forgotten
 * receive()). send() does its work when called; its awaitable only waits for a slow client.
 *
 * All of this belongs to the event loop's thread. Called in another thread, receive() and send() return a coroutine that does
 * its work on the server's loop once it is awaited there or by that thread's own loop. An awaitable made on the loop's
 * thread can be awaited only there, but closed and released anywhere.
 *
 * Any number of receive() calls may wait at a time: each is woken by every event and looks again.
 */
#ifndef TINE_ASGI_ASGI_CHANNEL_H
#define TINE_ASGI_ASGI_CHANNEL_H

#include <Python.h>

struct asgi;
struct channel;

enum channel_result {
    CHANNEL_DONE,
    CHANNEL_WAIT,
    CHANNEL_TURN, /* of send only: nothing was done; its awaitable gives the loop one turn */
    CHANNEL_ERROR /* exception set */
};

struct channel_ops {
    const char *name;
    /* DONE: *ret_message is a new reference. WAIT: channel_wake() follows. */
    enum channel_result (*receive)(struct channel *c, PyObject **ret_message);
    /* `message` is a dict (borrowed), `type` its "type" (a str, borrowed from it: gone once the application's code has
     * run). Whatever looks into the message runs the application's code, which may have sent another message meanwhile:
     * all of it is read before any state is looked at. WAIT: channel_wake() follows, then sent(). */
    enum channel_result (*send)(struct channel *c, PyObject *type, PyObject *message);
    /* Asked after each wake: may the send() that waits return? */
    enum channel_result (*sent)(struct channel *c);
};

/* Head of each kind's object. */
struct channel {
    PyObject_HEAD struct asgi *asgi;
    const struct channel_ops *ops;
    PyObject *waiter; /* future of a single waiter, or NULL */
    PyObject *waiters; /* list of futures when there are more */
    unsigned wakes; /* channel_wake() calls, to see whether one came in between */
};

/* Sets up the head of a fresh object. */
void channel_init(struct channel *c, struct asgi *asgi, const struct channel_ops *ops);
/* For tp_dealloc. */
void channel_clear(struct channel *c);
/* Something changed: wakes all waiters, which look again. Runs no Python code of the application. */
void channel_wake(struct channel *c);

/* New receive and send callables of a channel; NULL: exception set. */
PyObject *channel_receive_new(struct channel *c);
PyObject *channel_send_new(struct channel *c);

/* Makes the types of receive, send and their awaitable in `asgi`. 0 or -1 with an exception set. */
int channel_types_init(struct asgi *asgi);

/* True if `o` is the str `name` (interned); the usual case is one comparison. */
static inline int channel_is(PyObject *o, PyObject *name)
{
    return o == name || (PyUnicode_Check(o) && PyUnicode_Compare(o, name) == 0);
}

#endif
