/* SPDX-License-Identifier: BSD-3-Clause */
/* seats.h: server.accept = reuseport: each address has as many sockets as there are workers, the
 * seats, among which the kernel spreads connections, and each worker accepts from its own.
 *
 * The master keeps all of them, and every worker has all descriptors, so that no queue goes with a
 * worker: the seat of one that ended is taken by its replacement or, when there are fewer workers
 * than seats, by another worker. */
#ifndef TINE_MASTER_SEATS_H
#define TINE_MASTER_SEATS_H

struct conf_server;
struct listeners;
struct master;
struct slot;

/* Opens the seats of each TCP address that is new, and numbers those of all. An address that is
 * open in `before` (NULL: none) keeps as many as it has: connections to a new seat would wait for
 * workers that boot, and be lost when they fail. 0, or -1 logged. */
int seats_open(struct listeners *listeners, const struct listeners *before, const struct conf_server *conf)
    __attribute__((warn_unused_result));
/* A worker is to be started in the slot: writes to the scoreboard which seat it gets. */
void seats_give(const struct master *master, const struct slot *slot);
/* Tells the workers how many they are, if that has changed. Once a tick, and when the number was
 * changed. */
void seats_follow(struct master *master);

#endif
