/* SPDX-License-Identifier: BSD-3-Clause */
/* frame_memory.h: the memory of Python's frames, kept for reuse. Each greenlet has a stack of frames of its own, which CPython
 * asks the system for and gives back: two system calls and a page fault or two for each request, which cost more than the
 * rest of a greenlet. */
#ifndef TINE_PYTHON_FRAME_MEMORY_H
#define TINE_PYTHON_FRAME_MEMORY_H

/* From now on, in the whole process; a second call does nothing. 0, or -1: out of memory. */
int frame_memory_keep(void) __attribute__((warn_unused_result));

#endif
