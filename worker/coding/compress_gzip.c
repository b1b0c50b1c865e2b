/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_gzip.c: gzip (RFC 1952) by zlib. */
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "worker/coding/compress_codec.h"

/* A window of 32 KB; 16 more asks for gzip's frame in the place of zlib's. */
#define WINDOW_BITS (15 + 16)
#define MEMORY_LEVEL 8

static void *open_gzip(int level)
{
    z_stream *z = calloc(1, sizeof(*z));
    if (z && deflateInit2(z, level, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return z;
    free(z);
    return NULL;
}

static bool again(void *context)
{
    return deflateReset(context) == Z_OK;
}

static enum codec_result run(void *context, struct span *from, enum codec_op op, char *to, size_t n, size_t *ret_n)
{
    static const int flushes[] = { [CODEC_TAKE] = Z_NO_FLUSH, [CODEC_FLUSH] = Z_SYNC_FLUSH, [CODEC_FINISH] = Z_FINISH };
    z_stream *z = context;
    uInt take = from->n > 1u << 30 ? 1u << 30 : (uInt)from->n, room = (uInt)n;
    bool all = take == from->n;
    z->next_in = (Bytef *)(uintptr_t)from->p;
    z->avail_in = take;
    z->next_out = (Bytef *)to;
    z->avail_out = room;
    int result = deflate(z, all ? flushes[op] : Z_NO_FLUSH);
    *ret_n = room - z->avail_out;
    from->p += take - z->avail_in;
    from->n -= take - z->avail_in;
    if (result == Z_STREAM_ERROR)
        return CODEC_FAILED;
    if (op == CODEC_FINISH)
        return result == Z_STREAM_END ? CODEC_DONE : CODEC_MORE;
    /* Z_BUF_ERROR: the last call ended exactly at the end of its room, and nothing was left to do. */
    return (z->avail_out && !from->n) || result == Z_BUF_ERROR ? CODEC_DONE : CODEC_MORE;
}

static void close_gzip(void *context)
{
    deflateEnd(context);
    free(context);
}

static void version(char *to, size_t n)
{
    snprintf(to, n, "%s", zlibVersion());
}

const struct codec codec_gzip = {
    .coding = CODING_GZIP,
    .usual_level = 5,
    .memory = 272u << 10,
    .open = open_gzip,
    .again = again,
    .run = run,
    .close = close_gzip,
    .library = "zlib",
    .version = version,
};
