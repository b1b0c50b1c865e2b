/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_types.c: matches a media type against http.compress_types and the built-in list. */
#include "worker/coding/compress_types.h"

/* What is text in one way or another, and formats of mostly text or tables. What is compressed already gains nothing. */
static const char *const usual[] = {
    "text/*",
    "+json",
    "+xml",
    "+yaml",
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/wasm",
    "application/ndjson",
    "application/x-ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/yaml",
    "application/toml",
    "application/sql",
    "application/graphql",
    "application/rtf",
    "application/x-sh",
    "application/x-www-form-urlencoded",
    "application/vnd.ms-fontobject",
    "application/postscript",
    "font/ttf",
    "font/otf",
    "font/collection",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
};

/* A stream of events is to arrive event by event, and few events fill a block. */
static bool must_be_named(struct span type)
{
    return span_ieq(type, SPAN("text/event-stream"));
}

static bool fits(struct span pattern, struct span type)
{
    bool is_suffix = pattern.p[0] == '+';
    if (!is_suffix && span_ieq(pattern, type))
        return true;
    if (must_be_named(type))
        return false;
    if (is_suffix)
        return type.n > pattern.n && span_ieq((struct span){ type.p + type.n - pattern.n, pattern.n }, pattern);
    if (pattern.n > 2 && pattern.p[pattern.n - 1] == '*')
        return type.n >= pattern.n && strncasecmp(type.p, pattern.p, pattern.n - 1) == 0;
    return false;
}

static bool fits_usual(struct span type)
{
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
        if (fits(span_of(usual[i]), type))
            return true;
    return false;
}

bool compress_type_fits(const struct conf_list *types, struct span content_type)
{
    const char *semicolon = content_type.n ? memchr(content_type.p, ';', content_type.n) : NULL;
    if (semicolon)
        content_type.n = (size_t)(semicolon - content_type.p);
    struct span type = span_trim(content_type);
    if (!type.n)
        return false;
    for (size_t i = 0; i < types->n; i++) {
        struct span pattern = span_of(types->v[i]);
        if (span_ieq(pattern, SPAN("default")) ? fits_usual(type) : fits(pattern, type))
            return true;
    }
    return false;
}
