/* SPDX-License-Identifier: BSD-3-Clause */
/* limits.h: what the clients of all workers have used of [limit]: a table in shared memory, without locks. Each worker counts
 * its connections in its own column, so that those of one that was killed can be forgotten.
 *
 * Clients are remembered as keyed hashes of their addresses, IPv6 by /64, in sets of eight: who floods the table
 * with addresses replaces those that were quiet for longest. Any code in a worker can write to this memory: nothing but
 * these limits depends on it.
 */
#ifndef TINE_COMMON_LIMITS_H
#define TINE_COMMON_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct limits;
struct sockaddr;

/* Zeroed, for workers in so many slots. NULL with errno. */
struct limits *limits_new(unsigned slots);
/* In a worker that is another program: by the master's limits_fd(), which it takes over. NULL with errno. */
struct limits *limits_map(int fd, unsigned slots);
int limits_fd(const struct limits *limits);
void limits_free(struct limits *limits);

/* What stands for a client; 0: it has no address of IP, and no limits. */
uint64_t limits_client(const struct limits *limits, const struct sockaddr *sa);

/* A request of the client at now_ns (clock_ns()): `burst` of them may come at once, and then one in each interval.
 * False: it is one too many, and *ret_wait_ns until the next one may come. */
bool limits_request(struct limits *limits, uint64_t client, uint64_t interval_ns, unsigned burst, uint64_t now_ns,
                    uint64_t *ret_wait_ns);

/* A connection of the client is open in the worker of this slot. The place for limits_close(), or -1: all places of the set have
 * open connections, it is not counted. *ret_open: how many the client has now. */
int limits_open(struct limits *limits, uint64_t client, unsigned slot, unsigned *ret_open);
void limits_close(struct limits *limits, int place, unsigned slot);
/* The slot has no worker any more, or a new one. */
void limits_clear(struct limits *limits, unsigned slot);

#endif
