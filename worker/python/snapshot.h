/* SPDX-License-Identifier: BSD-3-Clause */
/* snapshot.h: looks at what other threads change all the time, without stopping them: in a copy of the process in which
 * nothing else runs. What is half changed at that instant stays so there, and if following it is a fault, it is the copy
 * that dies. Knows nothing of Python. */
#ifndef TINE_PYTHON_SNAPSHOT_H
#define TINE_PYTHON_SNAPSHOT_H

/* Calls f(arg) in a copy of this process and waits for its end, at most `seconds`, which is at least 1. May be called in a
 * handler of a signal, and f may only call what is safe there. The copy shares the descriptors, ends with this thread, has no
 * locks of other threads, leaves no core, and is no child to anyone who waits for his. 0: f has come back; the number of the signal
 * that has killed it (SIGALRM: time is over); -1 with errno: there is no copy. */
int snapshot_call(void (*f)(int), int arg, unsigned seconds) __attribute__((warn_unused_result));

#endif
