/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_memory.c: the memory that the start of a worker or a mold leaves behind. */
#include "common/trim.h"
#include "worker/worker.h"

#define END_MOST ((size_t)4 << 20)

void worker_trim_memory(void)
{
    trim_memory(END_MOST);
}
