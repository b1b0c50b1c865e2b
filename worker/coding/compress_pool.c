/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_pool.c: contexts of codecs, lent to the responses that are being compressed. They are large and slow to make, so
 * a few wait for their next response; all of a worker's together are bounded. */
#include "conf/conf.h"
#include "worker/coding/compress_priv.h"

/* All contexts of a worker together: streams that never end hold theirs as long as they live. Beyond it answers go out as
 * they are. */
#define CONTEXTS_MOST (64u << 20)

bool compress_take_context(struct encoding *e)
{
    struct compressor *z = e->z;
    struct compress_choice *choice = e->choice;
    const struct codec *codec = choice->codec;
    if (z->in_use + codec->memory > CONTEXTS_MOST)
        return false;
    int level = z->conf->compress_level ? (int)z->conf->compress_level : codec->usual_level;
    e->context = choice->n_idle ? choice->idle[--choice->n_idle] : codec->open(level);
    if (!e->context)
        return false;
    z->in_use += codec->memory;
    return true;
}

void compress_give_context(struct encoding *e)
{
    struct compress_choice *choice = e->choice;
    const struct codec *codec = choice->codec;
    void *context = e->context;
    if (!context)
        return;
    e->context = NULL;
    e->z->in_use -= codec->memory;
    if (codec->again && choice->n_idle < COMPRESS_POOL && codec->again(context))
        choice->idle[choice->n_idle++] = context;
    else
        codec->close(context);
}
