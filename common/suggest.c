/* SPDX-License-Identifier: BSD-3-Clause */
/* suggest.c: finds the known name nearest to an unknown one, by optimal string alignment over three rows. */
#include "common/suggest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LONGEST 64

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int lower(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

unsigned suggest_distance(const char *a, const char *b)
{
    size_t n = strnlen(a, LONGEST), m = strnlen(b, LONGEST);
    unsigned rows[3][LONGEST + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = before[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

bool suggest_is_near(const char *text, const char *name)
{
    size_t n = strnlen(text, LONGEST);
    /* A start of three letters or more is near too: "keep" for "keepalive". */
    if (n >= 3 && strncasecmp(text, name, n) == 0)
        return true;
    return suggest_distance(text, name) <= 1 + n / 4;
}

const char *suggest_nearest(const char *text, const char *const *names, size_t n)
{
    const char *best = names[0];
    unsigned best_distance = suggest_distance(text, best);
    for (size_t i = 1; i < n; i++) {
        unsigned d = suggest_distance(text, names[i]);
        if (d < best_distance) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
