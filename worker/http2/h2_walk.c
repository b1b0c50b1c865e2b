/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_walk.c: finds the heads of frames in the bytes of a connection (RFC 9113 4.1). Frames are not judged here. */
#include "worker/http2/h2_walk.h"

#include <string.h>

#include "common/least.h"

#define FRAME_HEAD 9
#define TYPE_DATA 0
#define TYPE_PRIORITY 2
#define TYPE_PRIORITY_UPDATE 16
#define FLAG_PADDED 8

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* How many bytes of head a frame has for us: those of PRIORITY, PRIORITY_UPDATE and of padded DATA have more. */
static size_t wanted(const struct h2_walk *w)
{
    uint32_t length = read_u32(w->head) >> 8;
    if (w->n_head < FRAME_HEAD)
        return FRAME_HEAD;
    if ((w->head[3] == TYPE_PRIORITY || w->head[3] == TYPE_PRIORITY_UPDATE) && length >= 4)
        return FRAME_HEAD + 4;
    return w->head[3] == TYPE_DATA && w->head[4] & FLAG_PADDED && length ? FRAME_HEAD + 1 : FRAME_HEAD;
}

static void describe(const struct h2_walk *w, struct h2_walked *ret)
{
    *ret = (struct h2_walked){ .type = w->head[3],
                               .flags = w->head[4],
                               .stream = (int32_t)(read_u32(w->head + 5) & 0x7fffffff),
                               .length = read_u32(w->head) >> 8 };
    if (w->n_head == FRAME_HEAD + 4)
        ret->depends = read_u32(w->head + FRAME_HEAD) & 0x7fffffff;
    else if (w->n_head == FRAME_HEAD + 1)
        ret->padding = (uint32_t)least(1u + w->head[FRAME_HEAD], ret->length);
}

int h2_walk_next(struct h2_walk *w, const uint8_t **p, size_t *n, struct h2_walked *ret)
{
    while (*n) {
        size_t k = least(w->skip, *n);
        w->skip -= (uint32_t)k;
        *p += k;
        *n -= k;
        k = least(wanted(w) - w->n_head, *n);
        memcpy(w->head + w->n_head, *p, k);
        w->n_head += (uint8_t)k;
        *p += k;
        *n -= k;
        if (w->n_head < wanted(w))
            continue; /* it has more of a head, or the input is used up */
        describe(w, ret);
        w->skip = ret->length - (w->n_head - FRAME_HEAD);
        w->n_head = 0;
        return 1;
    }
    return 0;
}
