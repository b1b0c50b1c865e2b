/* SPDX-License-Identifier: BSD-3-Clause */
/* tickets.c: the keys of TLS session tickets, rotated in memory that master and workers share. */
#include "common/tickets.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>

struct tickets *tickets_new(void)
{
    struct tickets *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        return NULL;
    madvise(t, sizeof(*t), MADV_DONTDUMP);
    if (tickets_rotate(t) == 0 && tickets_rotate(t) == 0)
        return t;
    tickets_free(t);
    return NULL;
}

void tickets_free(struct tickets *tickets)
{
    if (tickets)
        munmap(tickets, sizeof(*tickets));
}

int tickets_rotate(struct tickets *t)
{
    uint32_t next = atomic_load_explicit(&t->turn, memory_order_relaxed) + 1;
    struct ticket_key *key = &t->key[next % 3];
    ssize_t n = getrandom(key, sizeof(*key), 0);
    if (n != (ssize_t)sizeof(*key)) {
        if (n >= 0)
            errno = EIO;
        return -1;
    }
    atomic_store_explicit(&t->turn, next, memory_order_release);
    return 0;
}
