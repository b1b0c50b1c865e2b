/* h2_walk.c: see h2_walk.h. Frames are not judged, only told apart (RFC 9113 4.1). */
#include "worker/http/h2_walk.h"

#include <string.h>

#define FRAME_HEAD 9
#define TYPE_DATA 0
#define TYPE_PRIORITY 2
#define TYPE_RST_STREAM 3
#define TYPE_LAST 9 /* of RFC 9113 */

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* How many bytes of head a frame has for us: those of PRIORITY tell more. */
static size_t wanted(const struct h2_walk *w)
{
    uint32_t length = read_u32(w->head) >> 8;
    return w->n_head >= FRAME_HEAD && w->head[3] == TYPE_PRIORITY && length >= 4 ? H2_WALK_HEAD : FRAME_HEAD;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
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
            continue; /* PRIORITY, or the input is used up */
        w->skip = (read_u32(w->head) >> 8) - (w->n_head - FRAME_HEAD);
        ret->type = w->head[3];
        ret->stream = (int32_t)(read_u32(w->head + 5) & 0x7fffffff);
        ret->depends = w->n_head > FRAME_HEAD ? read_u32(w->head + FRAME_HEAD) & 0x7fffffff : 0;
        w->n_head = 0;
        if (ret->type == TYPE_DATA || ret->type == TYPE_PRIORITY || ret->type == TYPE_RST_STREAM ||
            ret->type > TYPE_LAST)
            return 1;
    }
    return 0;
}
