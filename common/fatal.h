/* SPDX-License-Identifier: BSD-3-Clause */
/* fatal.h: for bugs only: a condition that the program itself guarantees does not hold. Says where
 * and ends the process with a core. Never for what a peer, the application or the system may do. */
#ifndef TINE_COMMON_FATAL_H
#define TINE_COMMON_FATAL_H

#include "common/likely.h"

_Noreturn void fatal_at(const char *file, int line, const char *function, const char *what);

/* Stays in every build, unlike assert(). */
#define fatal_unless(condition)                                 \
    do {                                                        \
        if (unlikely(!(condition)))                             \
            fatal_at(__FILE__, __LINE__, __func__, #condition); \
    } while (0)

#endif
