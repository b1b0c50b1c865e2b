/* SPDX-License-Identifier: BSD-3-Clause */
/* trim.h: freed memory is given back to the system. */
#ifndef TINE_COMMON_TRIM_H
#define TINE_COMMON_TRIM_H

#include <stddef.h>

/* All that the allocator can give back, and about `end` bytes of what is free at the end of the calling thread's arena,
 * which it cannot unless this is the first thread. Takes up to a few milliseconds. */
void trim_memory(size_t end);

#endif
