/* SPDX-License-Identifier: BSD-3-Clause */
/* redact.c: see redact.h. */
#include "common/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define HIDDEN "***"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* The next byte of a name, decoded; moves *p. */
static char next_byte(struct span *p)
{
    size_t used = 1;
    char c = p->p[0];
    int high = c == '%' && p->n >= 3 ? hex_digit(p->p[1]) : -1, low = high >= 0 ? hex_digit(p->p[2]) : -1;
    if (low >= 0) {
        c = (char)(high * 16 + low);
        used = 3;
    }
    p->p += used;
    p->n -= used;
    return c;
}

static bool is_same(struct span parameter, const char *name)
{
    while (parameter.n && *name) {
        char c = next_byte(&parameter);
        if (tolower((unsigned char)c) != tolower((unsigned char)*name))
            return false;
        name++;
    }
    return !parameter.n && !*name;
}

static bool is_secret(struct span parameter, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], "*") == 0 || is_same(parameter, names[i]))
            return true;
    return false;
}

static size_t put(char *to, size_t size, size_t at, struct span s)
{
    size_t n = s.n < size - at ? s.n : size - at;
    if (n)
        memcpy(to + at, s.p, n);
    return at + n;
}

/* Bytes up to one of these, or all. */
static size_t up_to(struct span s, const char *ends)
{
    size_t n = 0;
    while (n < s.n && !strchr(ends, s.p[n]))
        n++;
    return n;
}

static struct span skip(struct span s, size_t n)
{
    return (struct span){ s.p + n, s.n - n };
}

size_t redact(char *to, size_t size, struct span text, char *const *names, size_t n_names)
{
    const char *mark = n_names && text.n ? memchr(text.p, '?', text.n) : NULL;
    size_t begin = mark ? (size_t)(mark + 1 - text.p) : text.n;
    size_t at = put(to, size, 0, (struct span){ text.p, begin });
    struct span rest = skip(text, begin);
    while (rest.n && *rest.p != ' ') {
        size_t n = up_to(rest, "&;# "), name = up_to((struct span){ rest.p, n }, "=");
        bool hide = name < n && is_secret((struct span){ rest.p, name }, names, n_names);
        at = put(to, size, at, (struct span){ rest.p, hide ? name + 1 : n });
        if (hide)
            at = put(to, size, at, SPAN(HIDDEN));
        rest = skip(rest, n);
        if (rest.n && *rest.p != ' ') {
            at = put(to, size, at, (struct span){ rest.p, 1 });
            rest = skip(rest, 1);
        }
    }
    return put(to, size, at, rest);
}
