/* SPDX-License-Identifier: BSD-3-Clause */
/* utf8.h: which bytes of a text from outside may be shown as they are (RFC 3629). */
#ifndef TINE_COMMON_UTF8_H
#define TINE_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes the well-formed sequence at p has, 1 for ASCII; 0: there is none. n is at least 1. */
static inline size_t utf8_length(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t want = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (!want || n < want)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* overlong forms, surrogates, and what lies beyond U+10FFFF */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return want;
}

/* Of a sequence of two or three bytes. */
static inline uint32_t utf8_code(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    return length == 2 ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu)
                       : (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
}

/* A character that is no ASCII and does something to the lines around it: controls, which move a terminal's cursor as
 * ESC does; the ends of lines and paragraphs, which some readers of logs split at; and what turns the direction of
 * writing, so that a line looks like another. */
static inline bool utf8_is_control(const char *text, size_t length)
{
    if (length != 2 && length != 3)
        return false;
    uint32_t c = utf8_code(text, length);
    return (c >= 0x80 && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

#endif
