/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_text.h: where and how something is shown, and which bytes may be. */
#ifndef TINE_MASTER_TINECTL_TINECTL_TEXT_H
#define TINE_MASTER_TINECTL_TINECTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/utf8.h"

struct show {
    FILE *out;
    bool colours;
};

/* Bytes of the character at p if it does nothing to a terminal; 0: it does, or is not a character. */
static inline size_t show_harmless(const char *p, size_t n)
{
    size_t length = utf8_length(p, n);
    return (unsigned char)*p < 0x20 || *p == 0x7f || utf8_is_control(p, length) ? 0 : length;
}

#endif
