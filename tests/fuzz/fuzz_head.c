/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_head.c: guard, parser and rules over any bytes. The guard must say the same however they are cut, and what is
 * accepted must lie inside the head. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/http1/h1_guard.h"
#include "worker/http1/h1_parse.h"
#include "worker/http/head_rules.h"
#include "worker/http/req.h"

const char *const fuzz_corpora[] = { "http1_tricky.json", "gunicorn_requests.json", NULL };

static const struct h1_limits limits = { 300, 20, 200, 900 };

static void must_lie_in(struct piece at, size_t n)
{
    MUST(at.at <= n && at.n <= n - at.at);
}

static void judge(const char *p, size_t n)
{
    struct req r;
    memset(&r, 0, sizeof(r));
    char *head = malloc(n);
    memcpy(head, p, n);
    if (h1_parse_head(&r, head, n) == H1_PARSE_OK && !head_rules_judge(&r, 1 << 20)) {
        must_lie_in(r.path, n);
        must_lie_in(r.query, n);
        for (uint32_t i = 0; i < r.n_fields; i++) {
            must_lie_in(r.fields[i].name, n);
            must_lie_in(r.fields[i].value, n);
        }
        MUST(r.path.n && (head[r.path.at] == '/' || head[r.path.at] == '*'));
        MUST(!(r.chunked && r.content_length >= 0));
        MUST(r.content_length <= 1 << 20);
        MUST(r.version == HTTP_1_0 || r.known[FIELD_HOST]);
    }
    free(r.fields);
    free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct h1_scan scan = { 0 };
    size_t start = 0, end = 0, start2 = 0, end2 = 0;
    enum h1_guard_result whole = h1_guard_head(p, size, &limits, &scan, &start, &end);
    if (whole == H1_GUARD_OK) {
        MUST(start < end && end <= size && memcmp(p + end - 4, "\r\n\r\n", 4) == 0);
        judge(p + start, end - start);
    }

    enum h1_guard_result cut = H1_GUARD_MORE;
    memset(&scan, 0, sizeof(scan));
    size_t step = size ? data[size - 1] % 7 + 1 : 1;
    for (size_t n = 0; cut == H1_GUARD_MORE; n = n + step < size ? n + step : size) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, p, n);
        cut = h1_guard_head(copy, n, &limits, &scan, &start2, &end2);
        free(copy);
        if (n == size)
            break;
    }
    MUST(cut == whole && start2 == start && end2 == end);
    return 0;
}
