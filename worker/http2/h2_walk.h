/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_walk.h: the heads of frames in a stream of bytes: nghttp2 drops many frames without a callback. Pure. */
#ifndef TINE_HTTP_H2_WALK_H
#define TINE_HTTP_H2_WALK_H

#include <stddef.h>
#include <stdint.h>

#define H2_WALK_PREFACE 24
#define H2_WALK_HEAD 13 /* of a frame, with the first 4 bytes of what follows */

struct h2_walk {
    uint32_t skip;  /* bytes up to the next head */
    uint8_t n_head; /* bytes in `head` */
    uint8_t head[H2_WALK_HEAD];
};

struct h2_walked {
    uint8_t type, flags;
    int32_t stream;
    uint32_t length;  /* of what follows the head */
    uint32_t padding; /* DATA: how much of that carries nothing */
    uint32_t depends; /* PRIORITY: on that stream; PRIORITY_UPDATE: which stream it is about */
};

static inline void h2_walk_init(struct h2_walk *w)
{
    *w = (struct h2_walk){ .skip = H2_WALK_PREFACE };
}

/* The next frame whose head ends in [*p, *p + *n): advances both. 0: no more in these bytes. */
int h2_walk_next(struct h2_walk *w, const uint8_t **p, size_t *n, struct h2_walked *ret);

#endif
