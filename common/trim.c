/* SPDX-License-Identifier: BSD-3-Clause */
/* trim.c: see trim.h. malloc_trim() gives back whole pages inside of every arena, but the end of the first arena alone. The
 * application in a sub-interpreter has another thread (worker/host/hosted.c), hence another arena, whose end goes back
 * only when it is larger than a threshold, and that rises with the largest block that was ever freed. So blocks are cut
 * from that end, and their pages given back. Blocks that come from elsewhere were free as well. */
#include "common/trim.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK ((size_t)96 << 10) /* less than malloc() maps on its own */
#define MOST ((size_t)64 << 20) /* an arena of glibc is continuous up to here */

struct block {
    struct block *before;
};

static void give_back(struct block *block, uintptr_t page)
{
    uintptr_t from = ((uintptr_t)(block + 1) + page - 1) & ~(page - 1), to = ((uintptr_t)block + BLOCK) & ~(page - 1);
    madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Freed in reverse order, so that the end is whole again. */
static void trim_end(size_t end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct block *last = NULL, *block;
    for (size_t n = 0; n < end && n < MOST && (block = malloc(BLOCK)); n += BLOCK) {
        give_back(block, page);
        block->before = last;
        last = block;
    }
    while ((block = last)) {
        last = block->before;
        free(block);
    }
}

void trim_memory(size_t end)
{
#ifdef __GLIBC__
    malloc_trim(0);
    trim_end(end);
#endif
}
