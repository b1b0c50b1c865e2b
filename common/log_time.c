/* SPDX-License-Identifier: BSD-3-Clause */
/* log_time.c: the time zone of the logs, which stays the server's whatever the application does to the process's. */
#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#include "common/log.h"

#define NOT_FIXED LONG_MIN

/* Seconds east of UTC, or NOT_FIXED. A worker's loop sets it while other threads write to the log. */
static _Atomic(long) zone = NOT_FIXED;

void log_local_time(time_t t, struct tm *ret)
{
    long offset = atomic_load_explicit(&zone, memory_order_relaxed);
    if (offset == NOT_FIXED) {
        localtime_r(&t, ret);
        return;
    }
    time_t shifted = t + offset;
    gmtime_r(&shifted, ret);
    ret->tm_gmtoff = offset;
}

void log_fix_zone(void)
{
    struct tm tm;
    time_t now = time(NULL);
    if (atomic_load_explicit(&zone, memory_order_relaxed) == NOT_FIXED && localtime_r(&now, &tm))
        log_set_zone(tm.tm_gmtoff);
}

void log_set_zone(long utc_offset)
{
    atomic_store_explicit(&zone, utc_offset, memory_order_relaxed);
}
