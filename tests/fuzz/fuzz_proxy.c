/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_proxy.c: the PROXY header over any bytes, as they are and behind each of the two beginnings. A piece of an
 * accepted header must ask for more. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/net/proxy_protocol.h"

const char *const fuzz_corpora[] = { "http1_tricky.json", "gunicorn_requests.json", NULL };

static void parse(const char *p, size_t n)
{
    struct proxy_header h;
    ssize_t whole = proxy_protocol_parse(p, n, &h);
    MUST(whole <= (ssize_t)n && whole <= 4096);
    for (size_t cut = 0; whole > 0 && cut < (size_t)whole; cut++)
        MUST(proxy_protocol_parse(p, cut, &h) == 0);
    if (whole > 0)
        MUST(h.local || h.src.ss_family == h.dst.ss_family);
}

static void parse_behind(const char *start, size_t start_n, const uint8_t *data, size_t size)
{
    char *copy = malloc(start_n + size);
    memcpy(copy, start, start_n);
    memcpy(copy + start_n, data, size);
    parse(copy, start_n + size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse((const char *)data, size);
    parse_behind("PROXY TCP4 ", 11, data, size);
    parse_behind("\r\n\r\n\0\r\nQUIT\n", 12, data, size);
    parse_behind("\r\n\r\n\0\r\nQUIT\n\x21\x11\0", 15, data, size);
    return 0;
}
