/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_utf8.c: see ws_utf8.h. The second byte of a character has its own bounds (RFC 3629 4): they keep out overlong forms,
 * surrogates and what is beyond U+10FFFF. */
#include "worker/ws/ws_utf8.h"

/* The first byte of a character that is not ASCII. */
static bool begin_character(struct ws_utf8 *u, uint8_t c)
{
    u->low = 0x80;
    u->high = 0xbf;
    if (c < 0xc2 || c > 0xf4)
        return false;
    if (c < 0xe0) {
        u->left = 1;
    } else if (c < 0xf0) {
        u->left = 2;
        if (c == 0xe0)
            u->low = 0xa0;
        else if (c == 0xed)
            u->high = 0x9f;
    } else {
        u->left = 3;
        if (c == 0xf0)
            u->low = 0x90;
        else if (c == 0xf4)
            u->high = 0x8f;
    }
    return true;
}

static bool continue_character(struct ws_utf8 *u, uint8_t c)
{
    if (c < u->low || c > u->high)
        return false;
    u->left--;
    u->low = 0x80;
    u->high = 0xbf;
    return true;
}

static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    uint64_t eight;
    for (; end - p >= 8; p += 8) {
        memcpy(&eight, p, 8);
        if (eight & 0x8080808080808080u)
            break;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}

bool ws_utf8_feed(struct ws_utf8 *u, struct span bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.p, *end = p + bytes.n;
    while (p < end) {
        if (!u->left && (p = skip_ascii(p, end)) == end)
            break;
        if (u->left ? !continue_character(u, *p) : !begin_character(u, *p))
            return false;
        p++;
    }
    return true;
}

bool ws_utf8_is_good(struct span text)
{
    struct ws_utf8 u = { 0 };
    return ws_utf8_feed(&u, text) && ws_utf8_is_whole(&u);
}
