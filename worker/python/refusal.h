/* SPDX-License-Identifier: BSD-3-Clause */
/* refusal.h: what refuses to run in a sub-interpreter: extension modules that could not be loaded and calls that CPython
 * does not allow there, recorded where they happen (refusal.py), so that nobody can swallow them. GIL held, but for
 * refusal_late(). A refusal is text for people, "bcrypt._bcrypt: ImportError: ...", without ends of lines. */
#ifndef TINE_PYTHON_REFUSAL_H
#define TINE_PYTHON_REFUSAL_H

#include <Python.h>

struct interp;

/* Begins to record in this interpreter, a sub-interpreter, before the application is imported and in the thread of its
 * loop. *interp stays. 0, or -1 with an exception set. */
int refusal_watch(struct interp *interp) __attribute__((warn_unused_result));
/* The first refusal so far, to be freed; NULL: none. */
char *refusal_so_far(void);
/* The same when the application has started, with what it has loaded that is known to run Python in native threads; from
 * now on refusals are late ones. */
char *refusal_at_ready(void);
/* The exception has come out of the application: a late refusal, if it says so. */
void refusal_seen(struct interp *interp, PyObject *exception);
/* A late refusal in these words. */
void refusal_keep(struct interp *interp, const char *why);
/* The first late one; NULL: none. In any thread, without the GIL; stays. */
const char *refusal_late(const struct interp *interp);

#endif
