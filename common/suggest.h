/* SPDX-License-Identifier: BSD-3-Clause */
/* suggest.h: "did you mean": which of the names that we know is nearest to one that we do not. */
#ifndef TINE_COMMON_SUGGEST_H
#define TINE_COMMON_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

/* Steps (insert, delete, replace, swap neighbours; case does not count) from one text to the other. */
unsigned suggest_distance(const char *a, const char *b);
/* Whether `text` is likely to be a misspelling of `name`. */
bool suggest_is_near(const char *text, const char *name);
/* The nearest of n > 0 names. */
const char *suggest_nearest(const char *text, const char *const *names, size_t n);

#endif
