/* SPDX-License-Identifier: BSD-3-Clause */
/* seats.h: server.accept = reuseport: each address has as many sockets as there are workers, the seats, among which the
 * kernel spreads connections, and each worker accepts from its own. The sockets are opened by listen_seats.c.
 *
 * The master keeps all of them, and every worker has all descriptors, so that no queue goes with a worker: the seat of
 * one that ended is taken by its replacement or, when there are fewer workers than seats, by another worker. */
#ifndef TINE_MASTER_FLEET_SEATS_H
#define TINE_MASTER_FLEET_SEATS_H

#include <stdbool.h>

struct fleet;
struct slot;

/* A worker is to be started in the slot: writes to the scoreboard which seat it gets. */
void seats_give(const struct slot *slot);
/* Writes to the scoreboard how many workers there are. Once a tick, and when the number was changed. True: it has
 * changed, and the workers are to look. */
bool seats_tick(struct fleet *fleet);

#endif
