/* SPDX-License-Identifier: BSD-3-Clause */
/* chars.h: which bytes may stand where, as tables (RFC 9110 5.5, 5.6.2; RFC 3986 2, 3.2.2). */
#ifndef TINE_HTTP_H1_CHARS_H
#define TINE_HTTP_H1_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#define H1_CHAR_TOKEN 1u /* tchar */
#define H1_CHAR_VALUE 2u /* HTAB, SP, VCHAR, obs-text */
#define H1_CHAR_HEX 4u
#define H1_CHAR_HOST 8u  /* unreserved and sub-delims of a reg-name, but not "," */

static const uint8_t h1_char_class[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0, /* 0x00 */
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 0x10 */
    2,  11, 2,  3,  11, 3,  11, 11, 10, 10, 11, 11, 2,  11, 11, 2, /* 0x20 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 2,  10, 2,  10, 2,  2, /* 0x30 */
    2,  15, 15, 15, 15, 15, 15, 11, 11, 11, 11, 11, 11, 11, 11, 11, /* 0x40 */
    11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 2,  2,  2,  3,  11, /* 0x50 */
    3,  15, 15, 15, 15, 15, 15, 11, 11, 11, 11, 11, 11, 11, 11, 11, /* 0x60 */
    11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 2,  3,  2,  11, 0, /* 0x70 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0x80 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0x90 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xa0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xb0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xc0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xd0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xe0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xf0 */
};

static inline bool h1_is_token(unsigned char c)
{
    return h1_char_class[c] & H1_CHAR_TOKEN;
}

static inline bool h1_is_value(unsigned char c)
{
    return h1_char_class[c] & H1_CHAR_VALUE;
}

static inline bool h1_is_hex(unsigned char c)
{
    return h1_char_class[c] & H1_CHAR_HEX;
}

static inline bool h1_is_host(unsigned char c)
{
    return h1_char_class[c] & H1_CHAR_HOST;
}

/* Of a byte for which h1_is_hex() holds. */
static inline unsigned h1_hex_value(unsigned char c)
{
    return c <= '9' ? c - 48u : (c | 0x20u) - 87u;
}

#endif
