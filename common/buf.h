/* SPDX-License-Identifier: BSD-3-Clause */
/* buf.h: a growable byte queue: bytes are added at the end and taken from the front. Holds no memory while empty and
 * after buf_release(). */
#ifndef TINE_COMMON_BUF_H
#define TINE_COMMON_BUF_H

#include <stddef.h>
#include <string.h>

#include "common/likely.h"
#include "common/span.h"

struct buf {
    char *p;
    size_t start, end, cap; /* bytes are p[start..end) */
};

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

static inline struct span buf_span(const struct buf *b)
{
    return (struct span){ b->start ? b->p + b->start : b->p, b->end - b->start };
}

/* Room for n more bytes after the last one. Returns where to write them (then buf_grew()), or NULL: out of memory. */
char *buf_room(struct buf *b, size_t n);

static inline void buf_grew(struct buf *b, size_t n)
{
    b->end += n;
}

/* 0, or -1: out of memory, nothing added. */
int buf_add_slow(struct buf *b, const void *p, size_t n);

static inline int buf_add(struct buf *b, const void *p, size_t n)
{
    if (unlikely(b->cap - b->end < n))
        return buf_add_slow(b, p, n);
    if (n) {
        if (!b->p)
            __builtin_unreachable(); /* there is room */
        memcpy(b->p + b->end, p, n);
    }
    b->end += n;
    return 0;
}

/* Drops n bytes at the front; n <= buf_len(). Keeps the memory for reuse. */
static inline void buf_take(struct buf *b, size_t n)
{
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

/* Drops all bytes and gives the memory back. */
void buf_release(struct buf *b);

#endif
