/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_run.h: runs the application for a request, in whichever thread it is called: the call, the iteration of what it
 * returned, close(). GIL held. A greenlet's
 * calls end in one go: it waits inside. */
#ifndef TINE_WSGI_WSGI_RUN_H
#define TINE_WSGI_WSGI_RUN_H

#include <Python.h>
#include <stdbool.h>

struct wsgi_call;

/* True: the application has ended, close() included. False, only inline: it continues with wsgi_run_resume() when the
 * client has taken some of the answer, or has gone. */
bool wsgi_run(struct wsgi_call *c) __attribute__((warn_unused_result));
bool wsgi_run_resume(struct wsgi_call *c) __attribute__((warn_unused_result));

#endif
