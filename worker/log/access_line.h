/* SPDX-License-Identifier: BSD-3-Clause */
/* access_line.h: one line of the access log, from a format and a finished request. Pure but for the two clocks it is
 * given and the environment. What comes from the network cannot end the line or forge a field: bytes outside visible
 * ASCII, quotes and backslashes are written as \xXX, in JSON as its own escapes. */
#ifndef TINE_HTTP_ACCESS_LINE_H
#define TINE_HTTP_ACCESS_LINE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/buf.h"
#include "conf/log_format.h"

struct req;

/* Time as text, made anew once a second. */
struct access_time {
    time_t second;  /* 0: none yet */
    char clf[32];   /* [06/Nov/1994:08:49:37 +0000], local time */
    size_t clf_n;
    char iso[24];   /* 1994-11-06T08:49:37, UTC */
    size_t iso_n;
};

/* Makes the texts of this second, if they are not those already. */
void access_time_note(struct access_time *cache, const struct timespec *now);
/* Appends one line with its "\n". limit: most bytes that one value from the request may take; longer ones are cut and
 * end in "...". 0, or -1: out of memory; then a part of the line may be there. */
int access_line_add(struct buf *out, const struct log_format *format, const struct req *r, uint64_t duration_ns,
                    const struct timespec *now, struct access_time *cache, size_t limit)
    __attribute__((warn_unused_result));

#endif
