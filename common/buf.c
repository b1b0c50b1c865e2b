/* SPDX-License-Identifier: BSD-3-Clause */
/* buf.c: a growing byte queue. Grows by doubling; moves the bytes to the front before it grows. */
#include "common/buf.h"

#include <stdint.h>
#include <stdlib.h>

char *buf_room(struct buf *b, size_t n)
{
    if (b->cap - b->end >= n)
        return b->p + b->end;
    size_t have = buf_len(b);
    if (b->start && b->cap - have >= n) {
        memmove(b->p, b->p + b->start, have);
    } else {
        size_t cap = b->cap ? b->cap : 512;
        while (cap - have < n) {
            if (cap > SIZE_MAX / 2)
                return NULL;
            cap *= 2;
        }
        char *p = malloc(cap);
        if (!p)
            return NULL;
        if (have)
            memcpy(p, b->p + b->start, have);
        free(b->p);
        b->p = p;
        b->cap = cap;
    }
    b->start = 0;
    b->end = have;
    return b->p + have;
}

int buf_add_slow(struct buf *b, const void *p, size_t n)
{
    char *to = buf_room(b, n);
    if (!to)
        return -1;
    if (n)
        memcpy(to, p, n);
    buf_grew(b, n);
    return 0;
}

void buf_release(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}
