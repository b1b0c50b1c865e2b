/* SPDX-License-Identifier: BSD-3-Clause */
/* static_range.c: turns the Range field into the parts of a file that it asks for. */
#include "worker/static/static_range.h"

#include <stdbool.h>

/* Digits only, at least one; numbers beyond 64 bits are as good as the largest. */
static bool read_number(struct span *s, uint64_t *ret)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(s->p[i] - '0');
        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
    }
    s->p += i;
    s->n -= i;
    *ret = n;
    return i > 0;
}

enum spec { BAD, OUTSIDE, PART };

/* int-range or suffix-range. */
static enum spec read_spec(struct span s, uint64_t size, struct static_range *ret)
{
    uint64_t first = 0, last = UINT64_MAX;
    bool has_first = read_number(&s, &first);
    if (!s.n || *s.p != '-')
        return BAD;
    s.p++, s.n--;
    bool has_last = read_number(&s, &last);
    if (s.n || (!has_first && !has_last))
        return BAD;
    if (!has_first) {
        uint64_t n = last < size ? last : size;
        *ret = (struct static_range){ size - n, n };
        return last ? PART : OUTSIDE;
    }
    if (!has_last)
        last = UINT64_MAX;
    if (last < first)
        return BAD;
    if (first >= size)
        return OUTSIDE;
    if (last >= size)
        last = size - 1;
    *ret = (struct static_range){ first, last - first + 1 };
    return PART;
}

static bool overlaps(const struct static_range *parts, size_t n, const struct static_range *one)
{
    for (size_t i = 0; i < n; i++)
        if (one->at < parts[i].at + parts[i].n && parts[i].at < one->at + one->n)
            return true;
    return false;
}

enum static_range_result static_range_parse(struct span value, uint64_t size, struct static_range *parts, size_t *ret_n)
{
    struct span rest = span_trim(value), one;
    size_t n = 0, specs = 0;
    if (rest.n < 6 || !span_ieq((struct span){ rest.p, 6 }, SPAN("bytes=")))
        return STATIC_RANGE_WHOLE;
    rest.p += 6, rest.n -= 6;
    while (span_next_element(&rest, &one)) {
        struct static_range part;
        enum spec spec = ++specs > STATIC_RANGES_MOST ? BAD : read_spec(one, size, &part);
        if (spec == BAD || (spec == PART && (!part.n || overlaps(parts, n, &part))))
            return STATIC_RANGE_WHOLE;
        if (spec == PART)
            parts[n++] = part;
    }
    *ret_n = n;
    return n ? STATIC_RANGE_PARTS : specs ? STATIC_RANGE_NONE : STATIC_RANGE_WHOLE;
}
