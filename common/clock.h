/* SPDX-License-Identifier: BSD-3-Clause */
/* clock.h: time. Durations and deadlines use the monotonic clock; the wall clock is for people only. */
#ifndef TINE_COMMON_CLOCK_H
#define TINE_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* As of the last tick of the kernel: up to CLOCK_COARSE_NS behind clock_ns(), and several times cheaper. */
#define CLOCK_COARSE_NS 10000000u
static inline uint64_t clock_coarse_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ms(void)
{
    return clock_ns() / 1000000u;
}

static inline struct timeval timeval_of_ms(uint64_t ms)
{
    return (struct timeval){ .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
}

/* IMF-fixdate of now (RFC 9110 5.6.7), e.g. "Sun, 06 Nov 1994 08:49:37 GMT"; made anew once a second. */
#define HTTP_DATE_LEN 29
struct http_date {
    time_t second;
    char text[HTTP_DATE_LEN + 1];
};
const char *http_date(struct http_date *d);
/* The same of any time. */
void http_date_of(time_t at, char text[HTTP_DATE_LEN + 1]);

#endif
