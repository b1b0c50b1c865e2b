/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_br.c: Brotli (RFC 7932) by libbrotlienc, which has no way to use an encoder twice. */
#include <brotli/encode.h>
#include <stdio.h>

#include "worker/coding/compress_codec.h"

/* 64 KB: beyond it the encoder takes other tables from level 5 on, of up to 37 MB, and gains next to nothing on an
 * answer. */
#define WINDOW_BITS 16

static void *open_br(int level)
{
    BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (s) {
        BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, (uint32_t)level);
        BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, WINDOW_BITS);
    }
    return s;
}

static void expect(void *context, uint64_t length)
{
    BrotliEncoderSetParameter(context, BROTLI_PARAM_SIZE_HINT, length < 1u << 30 ? (uint32_t)length : 1u << 30);
}

static enum codec_result run(void *context, struct span *from, enum codec_op op, char *to, size_t n, size_t *ret_n)
{
    static const BrotliEncoderOperation ops[] = {
        [CODEC_TAKE] = BROTLI_OPERATION_PROCESS,
        [CODEC_FLUSH] = BROTLI_OPERATION_FLUSH,
        [CODEC_FINISH] = BROTLI_OPERATION_FINISH,
    };
    BrotliEncoderState *s = context;
    const uint8_t *next_in = (const uint8_t *)from->p;
    uint8_t *next_out = (uint8_t *)to;
    size_t left_in = from->n, left_out = n;
    if (!BrotliEncoderCompressStream(s, ops[op], &left_in, &next_in, &left_out, &next_out, NULL))
        return CODEC_FAILED;
    *ret_n = n - left_out;
    from->p += from->n - left_in;
    from->n = left_in;
    if (op == CODEC_FINISH)
        return BrotliEncoderIsFinished(s) ? CODEC_DONE : CODEC_MORE;
    return left_in || BrotliEncoderHasMoreOutput(s) ? CODEC_MORE : CODEC_DONE;
}

static void close_br(void *context)
{
    BrotliEncoderDestroyInstance(context);
}

static void version(char *to, size_t n)
{
    uint32_t v = BrotliEncoderVersion();
    snprintf(to, n, "%u.%u.%u", v >> 24, v >> 12 & 0xfff, v & 0xfff);
}

const struct codec codec_br = {
    .coding = CODING_BR,
    .usual_level = 5,
    .memory = 2048u << 10,
    .open = open_br,
    .expect = expect,
    .run = run,
    .close = close_br,
    .library = "brotli",
    .version = version,
};
