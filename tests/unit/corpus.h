/* SPDX-License-Identifier: BSD-3-Clause */
/* corpus.h: reads the corpora of tests/wire/corpora: JSON files of a known, regular shape, one object per case with
 * "id", "raw" (base64) and "rfc" or "expect". Not a JSON parser. */
#ifndef TINE_TESTS_CORPUS_H
#define TINE_TESTS_CORPUS_H

#include <stdbool.h>
#include <stddef.h>

struct corpus_case {
    char id[80];
    char verdict[12]; /* "accept", "may", "reject" */
    bool needs_setting; /* the verdict holds only with a setting of the server it was made for */
    char *raw;
    size_t n;
};

/* All cases of a file, *ret_n of them; exits with a message if it cannot be read. */
struct corpus_case *corpus_load(const char *name, size_t *ret_n);
void corpus_free(struct corpus_case *v, size_t n);

#endif
