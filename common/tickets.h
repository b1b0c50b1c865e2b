/* SPDX-License-Identifier: BSD-3-Clause */
/* tickets.h: the keys of TLS session tickets: random bytes that the master makes and all workers of all generations
 * share, so that a client's session can be resumed at any of them, and across reloads. Rotated in time: whoever learns
 * a key later can only read what was said in the hours when it was in use.
 */
#ifndef TINE_COMMON_TICKETS_H
#define TINE_COMMON_TICKETS_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/shared.h"

/* A key seals tickets for this long and opens them for as long again; tickets live no longer than it. */
#define TICKETS_ROTATE_S (4L * 3600)

struct ticket_key {
    unsigned char name[16], aes[32], hmac[32];
};

/* The present key, the one before it, and room for the next one: it is written while no worker reads it. */
struct ticket_keys {
    _Atomic(uint32_t) turn; /* key[turn % 3] is the present one */
    struct ticket_key key[3];
};

struct tickets {
    struct ticket_keys *keys;
    struct shared shared; /* the memory behind them */
};

/* Shared, with two keys in it. NULL with errno. */
struct tickets *tickets_new(void);
/* In a worker that is another program: by the master's tickets_fd(), which it takes over, for reading only. NULL with
 * errno. */
struct tickets *tickets_map(int fd);
int tickets_fd(const struct tickets *t);
void tickets_free(struct tickets *tickets);
/* By the master. 0, or -1 with errno: the keys stay. */
int tickets_rotate(struct tickets *tickets);

static inline const struct ticket_key *tickets_present(const struct tickets *t)
{
    return &t->keys->key[atomic_load_explicit(&t->keys->turn, memory_order_acquire) % 3];
}

static inline const struct ticket_key *tickets_before(const struct tickets *t)
{
    return &t->keys->key[(atomic_load_explicit(&t->keys->turn, memory_order_acquire) + 2) % 3];
}

#endif
