/* SPDX-License-Identifier: BSD-3-Clause */
/* frame_memory.c: see frame_memory.h. Pieces of frames come from the allocator of arenas, in one size of their own; other
 * sizes are passed on. */
#include "worker/python/frame_memory.h"

#include <Python.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* CPython's DATA_STACK_CHUNK_SIZE; if another version has another one, nothing is kept. */
#define CHUNK (16u << 10)
#define MOST_KEPT 256

struct kept {
    PyObjectArenaAllocator below;
    pthread_mutex_t lock; /* interpreters may have a GIL each */
    size_t n;
    void *v[MOST_KEPT];
};

static void *alloc_chunk(void *arg, size_t size)
{
    struct kept *k = arg;
    void *p = NULL;
    if (size == CHUNK) {
        pthread_mutex_lock(&k->lock);
        if (k->n)
            p = k->v[--k->n];
        pthread_mutex_unlock(&k->lock);
    }
    return p ? p : k->below.alloc(k->below.ctx, size);
}

static void free_chunk(void *arg, void *p, size_t size)
{
    struct kept *k = arg;
    bool keep = false;
    if (size == CHUNK) {
        pthread_mutex_lock(&k->lock);
        keep = k->n < MOST_KEPT;
        if (keep)
            k->v[k->n++] = p;
        pthread_mutex_unlock(&k->lock);
    }
    if (!keep)
        k->below.free(k->below.ctx, p, size);
}

int frame_memory_keep(void)
{
    PyObjectArenaAllocator present;
    PyObject_GetArenaAllocator(&present);
    struct kept *k = present.alloc == alloc_chunk ? present.ctx : calloc(1, sizeof *k);
    if (!k)
        return -1;
    if (k == present.ctx)
        return 0;
    pthread_mutex_init(&k->lock, NULL);
    k->below = present;
    PyObjectArenaAllocator ours = { .ctx = k, .alloc = alloc_chunk, .free = free_chunk };
    PyObject_SetArenaAllocator(&ours);
    return 0;
}
