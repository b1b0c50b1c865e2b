/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_pool.c: the memory of one load of the configuration. Each piece is its own allocation, so that tools that watch
 * memory see its end; arrays grow by doubling, recognised by their length. */
#include "conf/conf_pool.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conf_piece {
    alignas(max_align_t) struct conf_piece *before;
};

void *conf_alloc(struct conf_pool *pool, size_t n)
{
    if (n > SIZE_MAX - sizeof(struct conf_piece))
        return NULL;
    struct conf_piece *piece = calloc(1, sizeof(*piece) + n);
    if (!piece)
        return NULL;
    piece->before = pool->last;
    pool->last = piece;
    return piece + 1;
}

void *conf_extend(struct conf_pool *pool, const void *old, size_t n, size_t size)
{
    /* Room is always a power of two: at any other length there is room for one more. */
    if (n && (n & (n - 1)) != 0) {
        char *p = (char *)(uintptr_t)old;
        memset(p + n * size, 0, size);
        return p;
    }
    size_t bytes;
    if (__builtin_mul_overflow(n ? 2 * n : 1, size, &bytes))
        return NULL;
    void *p = conf_alloc(pool, bytes);
    if (p && n)
        memcpy(p, old, n * size);
    return p;
}

char *conf_copy(struct conf_pool *pool, const char *p, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *copy = conf_alloc(pool, n + 1);
    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}

const char *conf_text(struct conf_pool *pool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : conf_alloc(pool, (size_t)n + 1);
    if (!text)
        return "out of memory";
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

void conf_pool_done(struct conf_pool *pool)
{
    while (pool->last) {
        struct conf_piece *piece = pool->last;
        pool->last = piece->before;
        free(piece);
    }
}
