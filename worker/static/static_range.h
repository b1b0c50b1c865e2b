/* SPDX-License-Identifier: BSD-3-Clause */
/* static_range.h: the Range field (RFC 9110 14.1.2, 14.2) against a file of known size. Pure. */
#ifndef TINE_HTTP_STATIC_RANGE_H
#define TINE_HTTP_STATIC_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/span.h"

#define STATIC_RANGES_MOST 16

struct static_range {
    uint64_t at, n; /* n > 0 */
};

enum static_range_result {
    STATIC_RANGE_WHOLE, /* not understood, or too costly: as if it were not there */
    STATIC_RANGE_PARTS, /* 206 */
    STATIC_RANGE_NONE,  /* 416: nothing of it is in the file */
};

/* Parts in the order asked for; those past the end of the file are left out. Whole when parts overlap, when there are
 * more than STATIC_RANGES_MOST, or when the file is empty and its end was asked for. */
enum static_range_result static_range_parse(struct span value, uint64_t size, struct static_range *parts,
                                            size_t *ret_n);

#endif
