/* fuzz.h: the entry point of a fuzz target, as libFuzzer calls it, and what every target needs. */
#ifndef TINE_TESTS_FUZZ_H
#define TINE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Files of tests/wire/corpora that the target begins with; ends with NULL. */
extern const char *const fuzz_corpora[];

/* Not assert(): it must hold in every build. */
#define MUST(ok)     \
    do {             \
        if (!(ok))   \
            abort(); \
    } while (0)

#endif
