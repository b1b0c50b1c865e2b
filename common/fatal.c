/* SPDX-License-Identifier: BSD-3-Clause */
/* fatal.c: logs a failed assertion before the process aborts. */
#include "common/fatal.h"

#include <stdlib.h>

#include "common/log.h"

void fatal_at(const char *file, int line, const char *function, const char *what)
{
    log_critical("bug: %s:%d: %s: assertion \"%s\" failed", file, line, function, what);
    abort();
}
