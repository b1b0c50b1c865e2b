/* SPDX-License-Identifier: BSD-3-Clause */
/* likely.h: hints for the compiler about branches of the hot path. */
#ifndef TINE_COMMON_LIKELY_H
#define TINE_COMMON_LIKELY_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
