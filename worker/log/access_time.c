/* SPDX-License-Identifier: BSD-3-Clause */
/* access_time.c: the times of the access log as text. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "worker/log/access_line.h"

void access_time_note(struct access_time *cache, const struct timespec *now)
{
    if (cache->second == now->tv_sec && cache->clf_n)
        return;
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec"; /* never the locale's */
    struct tm local, utc;
    log_local_time(now->tv_sec, &local);
    gmtime_r(&now->tv_sec, &utc);
    long minutes = labs(local.tm_gmtoff) / 60;
    int n = snprintf(cache->clf, sizeof(cache->clf), "[%02d/%.3s/%04d:%02d:%02d:%02d %c%02ld%02ld]", local.tm_mday,
                     &months[3L * local.tm_mon], local.tm_year + 1900, local.tm_hour, local.tm_min, local.tm_sec,
                     local.tm_gmtoff < 0 ? '-' : '+', minutes / 60 % 100, minutes % 60);
    cache->clf_n = n < (int)sizeof(cache->clf) ? (size_t)n : sizeof(cache->clf) - 1;
    cache->iso_n = strftime(cache->iso, sizeof(cache->iso), "%Y-%m-%dT%H:%M:%S", &utc);
    cache->second = now->tv_sec;
}
