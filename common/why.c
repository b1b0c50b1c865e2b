/* SPDX-License-Identifier: BSD-3-Clause */
/* why.c: see why.h. */
#include "common/why.h"

#include <stdarg.h>
#include <stdio.h>

int why_set(char **ret_why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(ret_why, format, args) < 0)
        *ret_why = NULL;
    va_end(args);
    return -1;
}
