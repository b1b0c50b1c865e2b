/* SPDX-License-Identifier: BSD-3-Clause */
/* accept_encoding.c: reads the weights of Accept-Encoding. Its callers know which codings there are to choose from. */
#include "worker/coding/accept_encoding.h"

#include <string.h>

#include "worker/http/req.h"

#define UNSAID 0xffff

static const char *const names[N_CODINGS] = { "", "gzip", "br", "zstd" };

const char *coding_name(enum coding c)
{
    return names[c];
}

/* "0.5" -> 500 (RFC 9110 12.4.2); -1: no weight. */
static int weight_of(struct span s)
{
    if (!s.n || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    int value = (s.p[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        value += (s.p[i] - '0') * unit;
    }
    return value <= 1000 ? value : -1;
}

/* One element: a coding, and perhaps its weight. */
static void take(struct accept_encoding *a, unsigned short *star, struct span element)
{
    const char *semicolon = memchr(element.p, ';', element.n);
    struct span name = { element.p, semicolon ? (size_t)(semicolon - element.p) : element.n };
    int weight = 1000;
    if (semicolon) {
        struct span q = span_trim((struct span){ semicolon + 1, element.n - name.n - 1 });
        if (q.n < 2 || (q.p[0] != 'q' && q.p[0] != 'Q') || q.p[1] != '=')
            return;
        weight = weight_of((struct span){ q.p + 2, q.n - 2 });
    }
    name = span_trim(name);
    if (weight < 0)
        return;
    if (span_eq(name, SPAN("*")))
        *star = (unsigned short)weight;
    else if (span_ieq(name, SPAN("identity")))
        a->weight[CODING_IDENTITY] = (unsigned short)weight;
    else if (span_ieq(name, SPAN("gzip")) || span_ieq(name, SPAN("x-gzip"))) /* RFC 9110 8.4.1.3 */
        a->weight[CODING_GZIP] = (unsigned short)weight;
    else if (span_ieq(name, SPAN("br")))
        a->weight[CODING_BR] = (unsigned short)weight;
    else if (span_ieq(name, SPAN("zstd")))
        a->weight[CODING_ZSTD] = (unsigned short)weight;
}

static void take_list(struct accept_encoding *a, unsigned short *star, struct span list)
{
    struct span element;
    while (span_next_element(&list, &element))
        take(a, star, element);
}

struct accept_encoding accept_encoding_of(const struct req *r)
{
    struct accept_encoding a = { { UNSAID, UNSAID, UNSAID, UNSAID } };
    unsigned short star = UNSAID;
    for (uint32_t i = 0; i < r->n_fields; i++)
        if (span_eq(req_span(r, r->fields[i].name), SPAN("accept-encoding")))
            take_list(&a, &star, req_span(r, r->fields[i].value));
    for (int c = 0; c < N_CODINGS; c++) {
        if (a.weight[c] != UNSAID)
            continue;
        if (c == CODING_IDENTITY) /* acceptable unless excluded, but after whatever was named */
            a.weight[c] = star == 0 ? 0 : 1;
        else
            a.weight[c] = star == UNSAID ? 0 : star;
    }
    return a;
}
