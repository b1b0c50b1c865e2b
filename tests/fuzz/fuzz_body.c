/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_body.c: chunked framing over any bytes; the same verdict and the same data however they are cut, and of what is
 * accepted the data and the end that a simple reader sees. A request's head in front of it, as in the corpora, is
 * skipped. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/http1/h1_body.h"

const char *const fuzz_corpora[] = { "http1_tricky.json", "gunicorn_requests.json", NULL };

static const struct h1_limits limits = { 300, 20, 200, 900 };

struct outcome {
    enum h1_body_state state;
    size_t used, n;
    uint32_t sum; /* of the data */
};

static struct outcome feed(const char *p, size_t n, size_t step)
{
    struct h1_body b;
    struct outcome o = { .used = 0 };
    h1_body_init_chunked(&b, &limits);
    for (size_t shown = step < n ? step : n;; shown = shown + step < n ? shown + step : n) {
        size_t left = shown - o.used, had = left, run;
        char *copy = malloc(left ? left : 1);
        memcpy(copy, p + o.used, left);
        const char *q = copy, *data;
        bool more = true;
        while (more && left && b.state != H1_BODY_DONE && b.state != H1_BODY_BAD) {
            more = h1_body_feed(&b, &q, &left, &data, &run);
            MUST(run == 0 || (data >= copy && run <= had - (size_t)(data - copy)));
            for (size_t i = 0; i < run; i++)
                o.sum = o.sum * 31 + (unsigned char)data[i];
            o.n += run;
        }
        o.used += had - left;
        free(copy);
        if (b.state == H1_BODY_DONE || b.state == H1_BODY_BAD || shown == n)
            break;
    }
    o.state = b.state;
    return o;
}

/* Of bytes that are known to be a body: sizes are hexadecimal, lines end with CRLF, trailers with an empty line. */
static struct outcome read_simply(const char *p, size_t n)
{
    struct outcome o = { .state = H1_BODY_DONE };
    for (;;) {
        char *end;
        const char *line = memmem(p + o.used, n - o.used, "\r\n", 2);
        MUST(line);
        unsigned long size = strtoul(p + o.used, &end, 16);
        MUST(end > p + o.used && (*end == '\r' || *end == ';' || *end == ' ' || *end == '\t'));
        o.used = (size_t)(line - p) + 2;
        if (!size)
            break;
        MUST(size <= n - o.used && n - o.used - size >= 2 && !memcmp(p + o.used + size, "\r\n", 2));
        for (size_t i = 0; i < size; i++)
            o.sum = o.sum * 31 + (unsigned char)p[o.used + i];
        o.n += size;
        o.used += size + 2;
    }
    for (bool empty = false; !empty;) {
        const char *line = memmem(p + o.used, n - o.used, "\r\n", 2);
        MUST(line);
        empty = line == p + o.used;
        o.used = (size_t)(line - p) + 2;
    }
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data, *body = memmem(p, size, "\r\n\r\n", 4);
    body = body ? body + 4 : p;
    size_t n = size - (size_t)(body - p);
    struct outcome whole = feed(body, n, n ? n : 1);
    struct outcome cut = feed(body, n, size ? data[size - 1] % 7 + 1 : 1);
    MUST(cut.state == whole.state && cut.n == whole.n && cut.sum == whole.sum);
    MUST(whole.state == H1_BODY_BAD || cut.used == whole.used);
    if (whole.state == H1_BODY_DONE) {
        struct outcome simple = read_simply(body, n);
        MUST(simple.used == whole.used && simple.n == whole.n && simple.sum == whole.sum);
    }
    return 0;
}
