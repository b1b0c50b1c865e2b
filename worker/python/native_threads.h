/* SPDX-License-Identifier: BSD-3-Clause */
/* native_threads.h: notices threads of native code that run Python beside a sub-interpreter.
 *
 * PyGILState_Ensure() gives a thread that Python has never seen a state of the main interpreter, in every version of
 * CPython; no public function changes that, and none tells such a thread of another interpreter. What is called then
 * finds neither the modules nor the loop of the application, and some libraries crash. The main interpreter of a worker
 * whose application lives in a sub-interpreter has nothing else to run, so what runs there in a thread that the
 * sub-interpreter does not know is such a call. */
#ifndef TINE_PYTHON_NATIVE_THREADS_H
#define TINE_PYTHON_NATIVE_THREADS_H

struct interp;

/* In the main interpreter, before the sub-interpreter of *interp, which stays, is made: from now on the first such call is
 * a late refusal (refusal.h). 0, or -1 with an exception set. */
int native_threads_watch(struct interp *interp) __attribute__((warn_unused_result));

#endif
