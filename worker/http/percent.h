/* SPDX-License-Identifier: BSD-3-Clause */
/* percent.h: one percent-encoded byte (RFC 3986 2.1). */
#ifndef TINE_HTTP_PERCENT_H
#define TINE_HTTP_PERCENT_H

#include <stddef.h>

static inline int percent_digit(unsigned char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* The byte that the three at p ("%41") stand for; -1: they stand for none. */
static inline int percent_byte(const char *p, size_t n)
{
    int high = n < 3 ? -1 : percent_digit((unsigned char)p[1]);
    int low = n < 3 ? -1 : percent_digit((unsigned char)p[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

#endif
