/* SPDX-License-Identifier: BSD-3-Clause */
/* basic_user.c: see basic_user.h. */
#include "worker/log/basic_user.h"

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t basic_user(struct span s, char *ret, size_t size)
{
    unsigned bits = 0, have = 0;
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < size; i++) {
        int digit = base64_digit(s.p[i]);
        if (digit < 0)
            return 0;
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        char c = (char)(bits >> have & 0xff);
        if (c == ':')
            return n;
        ret[n++] = c;
    }
    return 0; /* no colon: not Basic credentials (RFC 7617 2) */
}
