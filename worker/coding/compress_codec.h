/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_codec.h: the codings that this program can make, one row each; a library is known to its own file alone. */
#ifndef TINE_HTTP_COMPRESS_CODEC_H
#define TINE_HTTP_COMPRESS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/span.h"
#include "worker/coding/accept_encoding.h"

enum codec_op {
    CODEC_TAKE,   /* more follows at once: may keep bytes back */
    CODEC_FLUSH,  /* everything so far must be readable by the client */
    CODEC_FINISH, /* the end */
};

enum codec_result {
    CODEC_MORE, /* `to` is full: call again with the same op */
    CODEC_DONE,
    CODEC_FAILED,
};

struct codec {
    enum coding coding;
    int usual_level;
    size_t memory; /* about what a context holds */
    /* NULL: out of memory. Levels are 1 (fast) to 9 (small). */
    void *(*open)(int level);
    /* Ready for another answer; false: close it. NULL: a context is good for one. */
    bool (*again)(void *context);
    /* Before the first byte of an answer whose length is known. */
    void (*expect)(void *context, uint64_t length);
    /* Takes bytes off the front of *from and writes at most n to `to`. */
    enum codec_result (*run)(void *context, struct span *from, enum codec_op op, char *to, size_t n, size_t *ret_n);
    void (*close)(void *context);
    const char *library;
    void (*version)(char *to, size_t n); /* that it runs with */
};

/* NULL: not built in. */
const struct codec *codec_of(enum coding coding);

extern const struct codec codec_gzip; /* compress_gzip.c */
extern const struct codec codec_br;   /* compress_br.c */
extern const struct codec codec_zstd; /* compress_zstd.c */

#endif
