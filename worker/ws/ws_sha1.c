/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_sha1.c: see ws_sha1.h. The names are those of RFC 3174. */
#include "worker/ws/ws_sha1.h"

static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)(x >> 24);
    p[1] = (uint8_t)(x >> 16);
    p[2] = (uint8_t)(x >> 8);
    p[3] = (uint8_t)x;
}

static uint32_t mix(int t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void add_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80], v[5];
    for (size_t t = 0; t < 16; t++)
        w[t] = load_be32(block + 4 * t);
    for (int t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    memcpy(v, h, sizeof v);
    for (int t = 0; t < 80; t++) {
        uint32_t next = rotate(v[0], 5) + mix(t, v[1], v[2], v[3]) + v[4] + w[t];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotate(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (int i = 0; i < 5; i++)
        h[i] += v[i];
}

void ws_sha1(struct span text, uint8_t ret[WS_SHA1_SIZE])
{
    uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    uint64_t bits = (uint64_t)text.n * 8;
    uint8_t end[128] = { 0 };
    for (; text.n >= 64; text.p += 64, text.n -= 64)
        add_block(h, (const uint8_t *)text.p);
    if (text.n)
        memcpy(end, text.p, text.n);
    end[text.n] = 0x80;
    size_t size = text.n + 9 > 64 ? 128 : 64;
    store_be32(end + size - 8, (uint32_t)(bits >> 32));
    store_be32(end + size - 4, (uint32_t)bits);
    for (size_t at = 0; at < size; at += 64)
        add_block(h, end + at);
    for (size_t i = 0; i < 5; i++)
        store_be32(ret + 4 * i, h[i]);
}
