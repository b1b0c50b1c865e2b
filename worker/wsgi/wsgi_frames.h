/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_frames.h: where one frame of a client's ends and the next begins (RFC 6455 5.2), in bytes that only pass by. */
#ifndef TINE_WSGI_WSGI_FRAMES_H
#define TINE_WSGI_WSGI_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wsgi_frames {
    uint8_t head[14];
    uint8_t have;  /* bytes of a head */
    uint64_t left; /* of the payload */
};

static inline bool wsgi_frames_between(const struct wsgi_frames *f)
{
    return !f->have && !f->left;
}

/* Of a head of which there are two bytes or more. */
static inline unsigned wsgi_frames_head_size(const struct wsgi_frames *f)
{
    unsigned length = f->head[1] & 0x7f;
    return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (f->head[1] & 0x80 ? 4 : 0);
}

static inline uint64_t wsgi_frames_payload(const struct wsgi_frames *f)
{
    uint64_t length = f->head[1] & 0x7f;
    unsigned n = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (n)
        length = 0;
    for (unsigned i = 0; i < n; i++)
        length = length << 8 | f->head[2 + i];
    return length;
}

/* The next n > 0 bytes pass; `stop`: only up to the first end of a frame. How many did. */
static inline size_t wsgi_frames_pass(struct wsgi_frames *f, const char *p, size_t n, bool stop)
{
    size_t at = 0;
    while (at < n && !(stop && at && wsgi_frames_between(f))) {
        if (f->left) {
            size_t k = f->left < n - at ? (size_t)f->left : n - at;
            f->left -= k;
            at += k;
            continue;
        }
        f->head[f->have++] = (uint8_t)p[at++];
        if (f->have >= 2 && f->have == wsgi_frames_head_size(f)) {
            f->left = wsgi_frames_payload(f);
            f->have = 0;
        }
    }
    return at;
}

#endif
