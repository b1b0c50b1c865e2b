/* SPDX-License-Identifier: BSD-3-Clause */
/* coverage_exit.c: workers, and what the master forks besides, end by _exit(), which keeps no counters. Linked by
 * `configure --enable-coverage` alone, in front of _exit() by the linker's --wrap: writes them first. What a signal kills
 * is not counted.
 */
#include <unistd.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

_Noreturn void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
