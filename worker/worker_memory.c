/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_memory.c: the memory that the start of a worker or a mold leaves behind. */
#include <malloc.h>

#include "worker/worker.h"

void worker_trim_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
