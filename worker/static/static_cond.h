/* SPDX-License-Identifier: BSD-3-Clause */
/* static_cond.h: conditional requests (RFC 9110 13) against the validators of a file. Pure. */
#ifndef TINE_HTTP_STATIC_COND_H
#define TINE_HTTP_STATIC_COND_H

#include <stdbool.h>
#include <time.h>

#include "common/span.h"

struct req;

struct static_validators {
    struct span etag; /* strong, with its quotes */
    time_t modified;  /* Last-Modified, never later than now */
    time_t now;
};

enum static_cond {
    STATIC_COND_GO_ON,
    STATIC_COND_NOT_MODIFIED, /* 304 */
    STATIC_COND_FAILED,       /* 412 */
};

/* If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since of a GET or HEAD, in the order of 13.2.2. */
enum static_cond static_cond_judge(const struct req *r, const struct static_validators *v);
/* Whether the Range field counts: If-Range is not there, or names what the file is now (13.1.5). */
bool static_cond_range(const struct req *r, const struct static_validators *v);

/* An HTTP-date in any of its three forms (5.6.7). False: it is none. */
bool static_cond_date(struct span text, time_t now, time_t *ret);

#endif
