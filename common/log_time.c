/* SPDX-License-Identifier: BSD-3-Clause */
/* log_time.c: the time zone of the logs, which stays the server's whatever the application does to the process's. */
#include <time.h>

#include "common/log.h"

static struct {
    bool is_fixed;
    long utc_offset; /* then: seconds east of UTC */
} zone;

void log_local_time(time_t t, struct tm *ret)
{
    if (!zone.is_fixed) {
        localtime_r(&t, ret);
        return;
    }
    time_t shifted = t + zone.utc_offset;
    gmtime_r(&shifted, ret);
    ret->tm_gmtoff = zone.utc_offset;
}

void log_fix_zone(void)
{
    struct tm tm;
    time_t now = time(NULL);
    if (!zone.is_fixed && localtime_r(&now, &tm))
        log_set_zone(tm.tm_gmtoff);
}

void log_set_zone(long utc_offset)
{
    zone.utc_offset = utc_offset;
    zone.is_fixed = true;
}
