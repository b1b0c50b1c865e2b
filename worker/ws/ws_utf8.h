/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_utf8.h: whether bytes that come in pieces are UTF-8 (RFC 3629), known at the first byte that cannot be right. */
#ifndef TINE_WS_WS_UTF8_H
#define TINE_WS_WS_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

/* Zeroed at the beginning of a text. */
struct ws_utf8 {
    uint8_t left;      /* bytes that the present character still lacks */
    uint8_t low, high; /* between which the next one must be, if left */
};

/* False: no text begins like this. */
bool ws_utf8_feed(struct ws_utf8 *u, struct span bytes);

/* The text may end here. */
static inline bool ws_utf8_is_whole(const struct ws_utf8 *u)
{
    return !u->left;
}

/* All of a text at once. */
bool ws_utf8_is_good(struct span text);

#endif
