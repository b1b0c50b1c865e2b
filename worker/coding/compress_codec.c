/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_codec.c: the only list of codecs. */
#include <config.h>

#include "worker/coding/compress_codec.h"

const struct codec *codec_of(enum coding coding)
{
    static const struct codec *const codecs[N_CODINGS] = {
        [CODING_GZIP] = &codec_gzip,
#if TINE_BROTLI
        [CODING_BR] = &codec_br,
#endif
#if TINE_ZSTD
        [CODING_ZSTD] = &codec_zstd,
#endif
    };
    return codecs[coding];
}
