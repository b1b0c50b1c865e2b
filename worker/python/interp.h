/* SPDX-License-Identifier: BSD-3-Clause */
/* interp.h: CPython inside this process: started, or joined where the process is a Python already, in a sub-interpreter
 * or the main one; ended. Knows neither net nor http. */
#ifndef TINE_PYTHON_INTERP_H
#define TINE_PYTHON_INTERP_H

#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct conf_app;

struct interp {
    PyThreadState *tstate; /* of the loop thread */
    PyInterpreterState *state;
    bool sub; /* in a sub-interpreter */
    unsigned idle_states; /* of a sub-interpreter: thread states of the main one that no thread runs with */
    char *_Atomic refusal; /* see refusal_late() */
};

/* Starts Python and makes the interpreter that the application will live in, as the current
 * thread's, GIL held. PyGILState_Ensure() works on this thread. Built-in module `_tine` is
 * importable there. In a sub-interpreter os.fork raises a clear error and multiprocessing starts by
 * spawn. sys.path: chdir ("" is not used; the working directory itself), pythonpath, then Python's.
 * sys.argv = ["tine"]. site (sitecustomize, .pth files) runs once: in the sub-interpreter, else in the main one. Where
 * Python runs already (worker/host), it was started without site, and the thread is the one that holds the GIL, for the
 * main interpreter, or one that Python has never seen, for a sub-interpreter. 0, or -1 with *ret_why allocated by
 * malloc. */
int interp_start(struct interp *interp, const struct conf_app *conf, bool main_interpreter, char **ret_why)
    __attribute__((warn_unused_result));

/* What this Python is made of: the program and its folders of packages, absolute, one a line, to be freed. NULL: not to be
 * had. GIL held. */
char *interp_environment(void);

/* The end of a worker, GIL held: the end of the application's threads, which have `ms` milliseconds (those that are left are
 * logged), atexit functions, standard streams flushed. The process must _exit() afterwards; interpreters are not finalised
 * (daemon threads would abort it). */
void interp_stop(struct interp *interp, uint64_t ms);

#endif
