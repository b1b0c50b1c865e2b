/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_socket.h: WebSockets of WSGI applications, which PEP 3333 does not know. Libraries (simple-websocket, on which flask-sock
 * and Flask-SocketIO stand) ask environ for the client's socket, under the name that gunicorn gave it, and speak the protocol
 * themselves, in the thread of the request.
 *
 * What they get is one end of a socket pair, whatever the connection is made of (TCP, TLS). The loop carries the bytes between
 * its other end and the connection, which stays the server's: its limits, its memory, its end. When the application has written
 * a 101 the request has ended; one that answers as usual never notices. Only for HTTP/1.1 upgrade requests.
 */
#ifndef TINE_WSGI_WSGI_SOCKET_H
#define TINE_WSGI_WSGI_SOCKET_H

#include <Python.h>
#include <stdbool.h>

struct wsgi_call;

/* --- the loop's thread --- */

/* Before the application is called: c->socket, if the request is one for a WebSocket. Without descriptors there is none. */
void wsgi_socket_offer(struct wsgi_call *c);
/* Before something else is done with the request: true: the application has taken the connection, and all of the usual answer is
 * to be ignored. The request may end in this call. */
bool wsgi_socket_is_taken(struct wsgi_call *c);
/* The request has ended, or was never taken; the application has ended: nobody writes any more. */
void wsgi_socket_request_ended(struct wsgi_call *c);
void wsgi_socket_call_ended(struct wsgi_call *c);

/* --- the thread that runs the call; GIL held --- */

/* environ["gunicorn.socket"], if there is a socket. 0, or -1 with an exception set. */
int wsgi_socket_put(struct wsgi_call *c, PyObject *environ);

#endif
