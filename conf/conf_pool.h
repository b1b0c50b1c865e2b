/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_pool.h: the memory of one load of the configuration: many small pieces, given back all at once. Never hands out
 * a piece twice and never frees a single one. */
#ifndef TINE_CONF_CONF_POOL_H
#define TINE_CONF_CONF_POOL_H

#include <stddef.h>

struct conf_pool {
    struct conf_piece *last;
};

/* Zeroed memory, or NULL: out of memory. */
void *conf_alloc(struct conf_pool *pool, size_t n) __attribute__((warn_unused_result));
/* An array made only by this function grows by one zeroed element of `size` bytes; n is its length so far, `old` is NULL
 * when n is 0. The old place stays readable. */
void *conf_extend(struct conf_pool *pool, const void *old, size_t n, size_t size) __attribute__((warn_unused_result));
/* A terminated copy of n bytes. */
char *conf_copy(struct conf_pool *pool, const char *p, size_t n) __attribute__((warn_unused_result));
/* Formatted text; "out of memory" as static text when there is none, so that it can stand in a message. */
const char *conf_text(struct conf_pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));
void conf_pool_done(struct conf_pool *pool);

#endif
