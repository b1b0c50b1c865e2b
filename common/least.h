/* SPDX-License-Identifier: BSD-3-Clause */
/* least.h: how much of what is wanted there is. */
#ifndef TINE_COMMON_LEAST_H
#define TINE_COMMON_LEAST_H

#include <stddef.h>
#include <stdint.h>

/* The smaller of both; b may be the length of a file. */
static inline size_t least(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

#endif
