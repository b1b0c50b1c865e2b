/* SPDX-License-Identifier: BSD-3-Clause */
/* thread_hooks.h: what tools ask of each new thread: a function of threading.settrace() or setprofile(). Coverage, debuggers
 * and profilers rely on threading.Thread for it, and would see nothing of a thread made in C. */
#ifndef TINE_PYTHON_THREAD_HOOKS_H
#define TINE_PYTHON_THREAD_HOOKS_H

/* Does in this thread, which has run no Python yet, what threading.Thread does in a new one. GIL held; leaves no
 * exception set. */
void thread_follow_hooks(void);

#endif
