/* SPDX-License-Identifier: BSD-3-Clause */
/* tickets.c: the keys of TLS session tickets, rotated in memory that master and workers share. */
#include "common/tickets.h"

#include <errno.h>
#include <stdlib.h>
#include <stddef.h>
#include <sys/random.h>

#include "common/fdutil.h"

struct tickets *tickets_new(void)
{
    struct tickets *t = calloc(1, sizeof(*t));
    if (!t || shared_new(&t->shared, "tine tickets", sizeof(*t->keys)) < 0) {
        free(t);
        return NULL;
    }
    shared_keep_out_of_dumps(&t->shared);
    t->keys = t->shared.p;
    if (tickets_rotate(t) == 0 && tickets_rotate(t) == 0)
        return t;
    tickets_free(t);
    return NULL;
}

struct tickets *tickets_map(int fd)
{
    struct tickets *t = calloc(1, sizeof(*t));
    if (!t) {
        fd_close(&fd);
        return NULL;
    }
    if (shared_map(&t->shared, fd, sizeof(*t->keys), false) < 0) {
        free(t);
        return NULL;
    }
    shared_keep_out_of_dumps(&t->shared);
    t->keys = t->shared.p;
    return t;
}

int tickets_fd(const struct tickets *t)
{
    return t->shared.fd;
}

void tickets_free(struct tickets *tickets)
{
    if (tickets)
        shared_free(&tickets->shared);
    free(tickets);
}

int tickets_rotate(struct tickets *t)
{
    uint32_t next = atomic_load_explicit(&t->keys->turn, memory_order_relaxed) + 1;
    struct ticket_key *key = &t->keys->key[next % 3];
    ssize_t n = getrandom(key, sizeof(*key), 0);
    if (n != (ssize_t)sizeof(*key)) {
        if (n >= 0)
            errno = EIO;
        return -1;
    }
    atomic_store_explicit(&t->keys->turn, next, memory_order_release);
    return 0;
}
