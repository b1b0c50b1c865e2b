/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_zstd.c: Zstandard (RFC 8878) by libzstd. */
#include <stdio.h>
#include <zstd.h>

#include "worker/coding/compress_codec.h"

/* 256 KB, far below the 8 MB that every client must be able to hold (RFC 9659). */
#define WINDOW_LOG 18
/* Else its higher levels take ten times the memory. */
#define TABLE_LOG 16

static void *open_zstd(int level)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    if (!c)
        return NULL;
    if (!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, WINDOW_LOG)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_hashLog, TABLE_LOG)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_chainLog, TABLE_LOG)))
        return c;
    ZSTD_freeCCtx(c);
    return NULL;
}

static bool again(void *context)
{
    return !ZSTD_isError(ZSTD_CCtx_reset(context, ZSTD_reset_session_only));
}

static void expect(void *context, uint64_t length)
{
    ZSTD_CCtx_setPledgedSrcSize(context, length);
}

static enum codec_result run(void *context, struct span *from, enum codec_op op, char *to, size_t n, size_t *ret_n)
{
    static const ZSTD_EndDirective ops[] = {
        [CODEC_TAKE] = ZSTD_e_continue,
        [CODEC_FLUSH] = ZSTD_e_flush,
        [CODEC_FINISH] = ZSTD_e_end,
    };
    ZSTD_inBuffer in = { from->p, from->n, 0 };
    ZSTD_outBuffer out = { to, n, 0 };
    size_t left = ZSTD_compressStream2(context, &out, &in, ops[op]);
    if (ZSTD_isError(left))
        return CODEC_FAILED;
    *ret_n = out.pos;
    from->p += in.pos;
    from->n -= in.pos;
    if (op == CODEC_TAKE)
        return from->n ? CODEC_MORE : CODEC_DONE;
    return left ? CODEC_MORE : CODEC_DONE;
}

static void close_zstd(void *context)
{
    ZSTD_freeCCtx(context);
}

static void version(char *to, size_t n)
{
    snprintf(to, n, "%s", ZSTD_versionString());
}

const struct codec codec_zstd = {
    .coding = CODING_ZSTD,
    .usual_level = 3,
    .memory = 1536u << 10,
    .open = open_zstd,
    .again = again,
    .expect = expect,
    .run = run,
    .close = close_zstd,
    .library = "zstd",
    .version = version,
};
