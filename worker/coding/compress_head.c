/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_head.c: reads from the head of an answer whether it may be compressed, and rewrites it. Knows fields, not
 * codecs. */
#include "worker/coding/compress_head.h"

#include <stdlib.h>

#define FEW_FIELDS 40
#define FEW_BYTES 512
#define VARY "Accept-Encoding"

bool compress_is_digest(struct span name)
{
    return span_ieq(name, SPAN("repr-digest")) || span_ieq(name, SPAN("content-digest")) ||
           span_ieq(name, SPAN("digest")) || span_ieq(name, SPAN("content-md5"));
}

static bool is_weak(struct span etag)
{
    return etag.n >= 2 && etag.p[0] == 'W' && etag.p[1] == '/';
}

struct compress_facts compress_read_head(const struct resp_head *head)
{
    struct compress_facts f = { .vary = head->n_fields };
    for (size_t i = 0; i < head->n_fields; i++) {
        struct span name = head->fields[i].name, value = head->fields[i].value;
        if (span_ieq(name, SPAN("content-type"))) {
            f.type = value;
        } else if (span_ieq(name, SPAN("etag"))) {
            f.etag = span_trim(value);
        } else if (span_ieq(name, SPAN("vary"))) {
            f.vary = f.vary == head->n_fields ? i : f.vary;
            f.varies |= span_list_has(value, SPAN(VARY)) || span_list_has(value, SPAN("*"));
        } else if (span_ieq(name, SPAN("cache-control"))) {
            f.fixed |= span_list_has(value, SPAN("no-transform"));
        } else if (span_ieq(name, SPAN("content-range"))) {
            f.ranged = true;
        } else if (span_ieq(name, SPAN("content-encoding")) || compress_is_digest(name)) {
            f.fixed = true;
        }
    }
    return f;
}

/* Of the uncoded answer alone. Ranges are counted in the bytes of the coded one (RFC 9110 14.1.2), which would have to be
 * the same each time. */
static bool is_dropped(struct span name)
{
    return span_ieq(name, SPAN("content-length")) || span_ieq(name, SPAN("accept-ranges"));
}

static struct span joined(char *to, struct span a, struct span b)
{
    memcpy(to, a.p, a.n);
    memcpy(to + a.n, b.p, b.n);
    return (struct span){ to, a.n + b.n };
}

/* Writes the fields to v and their own values to `text`. Returns how many. */
static size_t edit(const struct resp_head *head, const struct compress_facts *f, struct span coding, bool weak,
                   struct resp_field *v, char *text)
{
    size_t n = 0;
    for (size_t i = 0; i < head->n_fields; i++) {
        struct resp_field field = head->fields[i];
        if (coding.n && is_dropped(field.name))
            continue;
        if (!f->varies && i == f->vary) {
            field.value = joined(text, field.value, field.value.n ? SPAN(", " VARY) : SPAN(VARY));
            text += field.value.n;
        } else if (weak && !is_weak(f->etag) && span_ieq(field.name, SPAN("etag"))) {
            field.value = joined(text, SPAN("W/"), f->etag);
            text += field.value.n;
        }
        v[n++] = field;
    }
    if (coding.n)
        v[n++] = (struct resp_field){ SPAN("content-encoding"), coding };
    if (!f->varies && f->vary == head->n_fields)
        v[n++] = (struct resp_field){ SPAN("vary"), SPAN(VARY) };
    return n;
}

enum resp_result compress_edit_head(const struct resp_head *head, const struct compress_facts *f, struct span coding,
                                    bool weak, struct req *r,
                                    enum resp_result (*fn)(struct req *r, const struct resp_head *head))
{
    struct resp_field few_fields[FEW_FIELDS], *v = few_fields;
    char few_bytes[FEW_BYTES], *text = few_bytes;
    size_t n = head->n_fields + 2, bytes = f->etag.n + sizeof("W/") + sizeof(", " VARY);
    enum resp_result result = RESP_NO_MEMORY;
    if (f->vary < head->n_fields)
        bytes += head->fields[f->vary].value.n;
    if (n > FEW_FIELDS)
        v = malloc(n * sizeof(*v));
    if (bytes > FEW_BYTES)
        text = malloc(bytes);
    if (v && text) {
        struct resp_head edited = *head;
        edited.n_fields = edit(head, f, coding, weak, v, text);
        edited.fields = v;
        result = fn(r, &edited);
    } else {
        resp_abort(r);
    }
    if (v != few_fields)
        free(v);
    if (text != few_bytes)
        free(text);
    return result;
}
