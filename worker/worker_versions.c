/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_versions.c: what the worker is made of, for --version. */
#include <Python.h>
#include <config.h>
#include <stdio.h>
#include <string.h>

#include "common/heritage.h"
#include "worker/coding/compress_codec.h"
#include "worker/http1/h1_parse.h"
#include "worker/http2/h2_conn.h"
#include "worker/tls/tls.h"

void worker_print_versions(FILE *out)
{
    const char *runs_with = Py_GetVersion(); /* "3.11.2 (main, ...)": static, needs no interpreter */
    tls_print_version(out);
#if TINE_HTTP2
    fprintf(out, "nghttp2 %s\n", h2_version());
#endif
    fprintf(out, "http-parser %s\nPython %.*s (built with %s)\n", h1_parse_version(), (int)strcspn(runs_with, " "),
            runs_with, PY_VERSION);
    for (int c = CODING_GZIP; c < N_CODINGS; c++) {
        const struct codec *codec = codec_of((enum coding)c);
        char version[32];
        if (!codec)
            continue;
        codec->version(version, sizeof version);
        fprintf(out, "%s %s\n", codec->library, version);
    }
}
