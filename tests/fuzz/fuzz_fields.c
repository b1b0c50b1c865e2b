/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_fields.c: fields that choose among answers, with any values: Accept-Encoding, Range, the conditions, Content-Type.
 * Each line of the input becomes a field, its first byte says which. Parts of a file must lie in it and apart from each
 * other, weights in their range, and a date must come back when it is written. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conf/conf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/head.h"
#include "worker/coding/accept_encoding.h"
#include "worker/coding/compress_head.h"
#include "worker/coding/compress_types.h"
#include "worker/http/head_rules.h"
#include "worker/static/static_cond.h"
#include "worker/static/static_mime.h"
#include "worker/static/static_range.h"

const char *const fuzz_corpora[] = { NULL };

static const char *const names[] = {
    "Accept-Encoding", "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
};
#define N_NAMES (sizeof names / sizeof *names)

/* --- one value --- */

static void must_be_apart(const struct static_range *parts, size_t n, uint64_t size)
{
    MUST(n && n <= STATIC_RANGES_MOST);
    for (size_t i = 0; i < n; i++) {
        MUST(parts[i].n && parts[i].at < size && parts[i].n <= size - parts[i].at);
        for (size_t k = 0; k < i; k++)
            MUST(parts[i].at >= parts[k].at + parts[k].n || parts[k].at >= parts[i].at + parts[i].n);
    }
}

static void range(struct span value)
{
    static const uint64_t sizes[] = { 0, 1, 10, 1000000, INT64_MAX };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct static_range parts[STATIC_RANGES_MOST];
        size_t n = 0;
        enum static_range_result result = static_range_parse(value, sizes[i], parts, &n);
        MUST(result == STATIC_RANGE_WHOLE || result == STATIC_RANGE_PARTS || result == STATIC_RANGE_NONE);
        if (result == STATIC_RANGE_PARTS)
            must_be_apart(parts, n, sizes[i]);
        if (result != STATIC_RANGE_WHOLE)
            MUST(memchr(value.p, '-', value.n) && memchr(value.p, '=', value.n));
    }
}

static void date(struct span value)
{
    static const time_t now = 1800000000; /* 2027 */
    time_t t, again;
    struct tm tm;
    char text[64];
    if (!static_cond_date(value, now, &t))
        return;
    MUST(gmtime_r(&t, &tm) && tm.tm_year >= -1900);
    /* The last second of a month or year may have been a 60th or a 31st: then it is one of the next. */
    if (tm.tm_year > 8099)
        return;
    size_t n = strftime(text, sizeof text, "%a, %d %b ", &tm);
    n += (size_t)snprintf(text + n, sizeof text - n, "%04d ", tm.tm_year + 1900);
    n += strftime(text + n, sizeof text - n, "%H:%M:%S GMT", &tm);
    MUST(static_cond_date((struct span){ text, n }, now, &again) && again == t);
}

static void type(struct span value)
{
    static char *listed[] = { "default", "+own", "image/*", "application/x" };
    struct conf_list types = { listed, 4 };
    struct resp_field fields[] = { { SPAN("Vary"), value },
                                   { SPAN("Cache-Control"), value },
                                   { SPAN("ETag"), value },
                                   { SPAN("Content-Type"), value } };
    struct resp_head head = { .status = 200, .fields = fields, .n_fields = 4 };
    struct compress_facts facts = compress_read_head(&head);
    if (compress_type_fits(&types, value))
        MUST(memchr(value.p, '/', value.n) || memchr(value.p, '+', value.n));
    MUST(facts.type.p == value.p && facts.type.n == value.n && facts.vary == 0);
    MUST(facts.fixed == span_list_has(value, SPAN("no-transform")));
    struct static_mime mime = static_mime_of(value);
    MUST(memchr(mime.type.p, '/', mime.type.n));
}

/* --- a head --- */

/* Some bytes stand for a piece that means something, so that random bytes make likely values. */
static const char *const pieces[] = {
    "gzip",
    "br",
    "zstd",
    "identity",
    "*",
    ";q=",
    "0.5",
    "bytes=",
    "0-",
    "-5",
    ", ",
    "\"etag\"",
    "W/",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
};

static size_t add_field(char *to, const uint8_t *p, size_t n)
{
    size_t at = (size_t)sprintf(to, "%s:", names[n ? p[0] % N_NAMES : 0]);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >= 0x80 && p[i] < 0x90)
            at += (size_t)sprintf(to + at, "%s", pieces[p[i] & 15]);
        else
            to[at++] = p[i] >= 0x20 && p[i] != 0x7f ? (char)p[i] : p[i] == '\t' ? '\t' : '?';
    }
    memcpy(to + at, "\r\n", 2);
    return at + 2;
}

static bool mentions(const struct req *r, const char *word)
{
    size_t n = strlen(word);
    for (uint32_t i = 0; i < r->n_fields; i++) {
        struct span v = req_span(r, r->fields[i].value);
        for (size_t at = 0; at + n <= v.n && span_eq(req_span(r, r->fields[i].name), SPAN("accept-encoding")); at++)
            if (strncasecmp(v.p + at, word, n) == 0)
                return true;
    }
    return false;
}

static void judge(const char *head)
{
    struct req r;
    head_make(&r, head);
    struct accept_encoding a = accept_encoding_of(&r);
    for (int c = 0; c < N_CODINGS; c++) {
        MUST(a.weight[c] <= 1000);
        if (c != CODING_IDENTITY && a.weight[c])
            MUST(mentions(&r, coding_name((enum coding)c)) || mentions(&r, "*"));
    }
    MUST(a.weight[CODING_IDENTITY] || mentions(&r, "*") || mentions(&r, "identity"));
    struct static_validators v = { SPAN("\"etag\""), 784111777, 1800000000 };
    enum static_cond cond = static_cond_judge(&r, &v);
    bool conditional = false;
    for (uint32_t i = 0; i < r.n_fields; i++)
        conditional |= strncmp(req_span(&r, r.fields[i].name).p, "if-", 3) == 0;
    MUST(conditional || (cond == STATIC_COND_GO_ON && static_cond_range(&r, &v)));
    (void)static_cond_range(&r, &v);
    if (req_field(&r, SPAN("range")).p)
        range(req_field(&r, SPAN("range")));
    head_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 200)
        return 0;
    char *copy = fuzz_copy(data, size), *head = malloc(size * 40 + 1000);
    struct span value = { copy, size };
    range(value);
    date(value);
    type(value);
    size_t n = (size_t)sprintf(head, "GET / HTTP/1.1\r\nHost: a\r\n");
    unsigned fields = 1;
    for (size_t at = 0; at < size && fields < 90; fields++) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        n += add_field(head + n, data + at, length);
        at += length + 1;
    }
    memcpy(head + n, "\r\n", 3);
    judge(head);
    free(head);
    free(copy);
    return 0;
}
