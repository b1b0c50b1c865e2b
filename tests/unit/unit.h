/* SPDX-License-Identifier: BSD-3-Clause */
/* unit.h: what a unit test needs: CHECK() counts, unit_done() prints the sum as the runner wants it. */
#ifndef TINE_TESTS_UNIT_H
#define TINE_TESTS_UNIT_H

#include <stdio.h>

static unsigned unit_passed, unit_failed;

/* Counts one check; a failed one is printed with a printf-style remark and the test goes on. */
#define CHECK_MSG(ok, ...)                                  \
    do {                                                    \
        if (ok) {                                           \
            unit_passed++;                                  \
        } else {                                            \
            unit_failed++;                                  \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #ok); \
            printf(__VA_ARGS__);                            \
            putchar('\n');                                  \
        }                                                   \
    } while (0)

#define CHECK(ok) CHECK_MSG(ok, "%s", "failed")

/* Last statement of main(). */
static inline int unit_done(void)
{
    printf("%u passed, %u failed\n", unit_passed, unit_failed);
    return unit_failed || !unit_passed;
}

#endif
