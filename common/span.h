/* SPDX-License-Identifier: BSD-3-Clause */
/* span.h: a piece of memory that is owned elsewhere: pointer and length, not terminated. */
#ifndef TINE_COMMON_SPAN_H
#define TINE_COMMON_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *p;
    size_t n;
};

#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })

static inline struct span span_of(const char *s)
{
    return (struct span){ s, s ? strlen(s) : 0 };
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* ASCII case-insensitive. */
static inline bool span_ieq(struct span a, struct span b)
{
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* Without leading and trailing SP and HTAB (OWS of RFC 9110 5.6.3). */
static inline struct span span_trim(struct span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Takes the next element off a comma-separated list: without surrounding OWS, empty ones skipped (RFC 9110 5.6.1.2).
 * Knows no quoted strings. False at the end of the list. */
static inline bool span_next_element(struct span *list, struct span *ret_element)
{
    while (list->n) {
        const char *comma = memchr(list->p, ',', list->n);
        size_t n = comma ? (size_t)(comma - list->p) : list->n;
        *ret_element = span_trim((struct span){ list->p, n });
        n += comma != NULL;
        list->p += n;
        list->n -= n;
        if (ret_element->n)
            return true;
    }
    return false;
}

/* Whether a comma-separated list has this element, in any case of its letters. */
static inline bool span_list_has(struct span list, struct span element)
{
    struct span one;
    while (span_next_element(&list, &one))
        if (span_ieq(one, element))
            return true;
    return false;
}

#endif
