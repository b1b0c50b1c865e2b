/* SPDX-License-Identifier: BSD-3-Clause */
/* corpus.c: see corpus.h. TESTS_DIR comes from the build. */
#include "tests/unit/corpus.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        err(1, "%s", path);
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *text = calloc(1, (size_t)n + 1);
    if (!text || fread(text, 1, (size_t)n, f) != (size_t)n)
        err(1, "%s", path);
    fclose(f);
    return text;
}

/* Value of a string member of the object in [p, end); length in *ret_n. NULL if it is not there. */
static const char *member(const char *p, const char *end, const char *name, size_t *ret_n)
{
    char key[32];
    snprintf(key, sizeof(key), "\"%s\"", name);
    p = memmem(p, (size_t)(end - p), key, strlen(key));
    if (!p)
        return NULL;
    p += strlen(key);
    p += strspn(p, ": \n");
    if (*p != '"')
        return NULL;
    *ret_n = strcspn(++p, "\"");
    return p;
}

static const char *need(const char *p, const char *end, const char *name, size_t *ret_n)
{
    const char *at = member(p, end, name, ret_n);
    if (!at)
        errx(1, "a case has no \"%s\": %.40s", name, p);
    return at;
}

static size_t decode_base64(const char *p, size_t n, char *ret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, have = 0;
    size_t out = 0;
    for (size_t i = 0; i < n && p[i] != '='; i++) {
        bits = bits << 6 | (unsigned)(strchr(digits, p[i]) - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret[out++] = (char)(bits >> have & 0xff);
        }
    }
    return out;
}

static void copy(char *to, size_t size, const char *p, size_t n)
{
    snprintf(to, size, "%.*s", (int)n, p);
}

struct corpus_case *corpus_load(const char *name, size_t *ret_n)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/wire/corpora/%s", TESTS_DIR, name);
    char *text = read_file(path);
    struct corpus_case *v = NULL;
    size_t n = 0;

    const char *id, *next = strstr(text, "\"id\"");
    while ((id = next)) {
        size_t length = 0;
        next = strstr(id + 4, "\"id\"");
        const char *end = next ? next : text + strlen(text);
        struct corpus_case c = { .needs_setting = memmem(id, (size_t)(end - id), "needs_cfg", 9) };
        const char *p = need(id, end, "id", &length);
        copy(c.id, sizeof(c.id), p, length);
        p = member(id, end, "rfc", &length);
        if (!p)
            p = need(id, end, "expect", &length);
        copy(c.verdict, sizeof(c.verdict), p, length);
        p = need(id, end, "raw", &length);
        c.raw = malloc(length + 1);
        struct corpus_case *more = reallocarray(v, n + 1, sizeof(*v));
        if (!c.raw || !more)
            err(1, "%s", path);
        v = more;
        c.n = decode_base64(p, length, c.raw);
        v[n++] = c;
    }
    free(text);
    *ret_n = n;
    return v;
}

void corpus_free(struct corpus_case *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].raw);
    free(v);
}
