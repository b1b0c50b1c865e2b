/* SPDX-License-Identifier: BSD-3-Clause */
/* shared.h: memory that the master shares with its workers. Behind it is a descriptor (memfd_create(2)), so that a worker
 * that is another program can map it too. */
#ifndef TINE_COMMON_SHARED_H
#define TINE_COMMON_SHARED_H

#include <stdbool.h>
#include <stddef.h>

struct shared {
    void *p; /* NULL: none */
    size_t n;
    int fd; /* close-on-exec; -1 where it was mapped by shared_map() */
};

/* n zeroed bytes, which take memory as they are touched. `name`: for /proc alone. 0, or -1 with errno. */
int shared_new(struct shared *to, const char *name, size_t n) __attribute__((warn_unused_result));
/* Maps what another process made, and closes fd in any case. EINVAL: it is smaller than n bytes. 0, or -1 with errno. */
int shared_map(struct shared *to, int fd, size_t n, bool writable) __attribute__((warn_unused_result));
/* Not in core dumps: for secrets. In each process that maps it. */
void shared_keep_out_of_dumps(const struct shared *shared);
/* Fine for one that is all zeroes but for fd = -1. */
void shared_free(struct shared *shared);

#endif
