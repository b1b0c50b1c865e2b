/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz.h: the entry point of a fuzz target, as libFuzzer calls it, and what every target needs. */
#ifndef TINE_TESTS_FUZZ_H
#define TINE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Files of tests/wire/corpora that the target begins with besides its own seeds; ends with NULL. */
extern const char *const fuzz_corpora[];

/* Not assert(): it must hold in every build. */
#define MUST(ok)     \
    do {             \
        if (!(ok))   \
            abort(); \
    } while (0)

/* A copy with nothing behind it, so that a read too far is found; to be freed. */
static inline char *fuzz_copy(const void *p, size_t n)
{
    char *copy = malloc(n ? n : 1);
    MUST(copy);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

/* For inputs of several values: takes one off the front, whose first byte is its length or more than is left. */
static inline struct span fuzz_take(const uint8_t **p, size_t *n)
{
    struct span s = { (const char *)*p, 0 };
    if (!*n)
        return s;
    size_t left = *n - 1;
    s = (struct span){ (const char *)*p + 1, **p < left ? **p : left };
    *p += 1 + s.n;
    *n -= 1 + s.n;
    return s;
}

#endif
