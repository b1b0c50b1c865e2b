/* SPDX-License-Identifier: BSD-3-Clause */
/* exec_guard.h: keeps processes of the same user from tracing a process, or reading its memory, while exec makes it another
 * program. PR_SET_DUMPABLE does not last so long. One capability does, that the others lack (ptrace(2), access mode
 * checking: the tracer must have all that the traced one is permitted): one that nothing can be done with, given up as
 * soon as the new program has closed itself to them. */
#ifndef TINE_COMMON_EXEC_GUARD_H
#define TINE_COMMON_EXEC_GUARD_H

#include <stdbool.h>

#define EXEC_GUARD_NONE (-1)

/* Before a process gives up being root: the capability, which the change of user will leave it among others.
 * EXEC_GUARD_NONE: there is none to be had. */
int exec_guard_begin(void);
/* After it: gives up every capability but this one. Whether no other is left; *guard is EXEC_GUARD_NONE if it could not be
 * kept. */
bool exec_guard_keep(int *guard) __attribute__((warn_unused_result));
/* Gives up every capability. Whether none is left. */
bool exec_guard_end(void) __attribute__((warn_unused_result));

#endif
