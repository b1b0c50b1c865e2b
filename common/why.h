/* SPDX-License-Identifier: BSD-3-Clause */
/* why.h: the reason of a failure, as a text that the caller hands up. */
#ifndef TINE_COMMON_WHY_H
#define TINE_COMMON_WHY_H

/* Makes *ret_why the text, allocated by malloc; NULL: out of memory. Returns -1, so that a function can end with it. */
int why_set(char **ret_why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
