/* SPDX-License-Identifier: BSD-3-Clause */
/* plural.h: "1 worker", "2 workers": what follows a noun after its number. */
#ifndef TINE_COMMON_PLURAL_H
#define TINE_COMMON_PLURAL_H

#include <stdint.h>

static inline const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

#endif
