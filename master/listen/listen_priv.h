/* SPDX-License-Identifier: BSD-3-Clause */
/* listen_priv.h: between the files of this room. */
#ifndef TINE_MASTER_LISTEN_LISTEN_PRIV_H
#define TINE_MASTER_LISTEN_LISTEN_PRIV_H

#include "master/listen/listen.h"

/* The file of a bind of ours is there. */
bool listen_unix_is_there(const struct conf_bind *bind);

/* What is wrong with it as a listening stream socket; NULL: nothing. */
const char *listen_fd_fault(int fd);
/* A descriptor that is one of `before` is ours already, not handed down: refused. 0, or -1 logged. */
int listen_fd(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind);
int listen_systemd(struct listeners *listeners, const struct conf_bind *bind, struct listen_passed *passed);
/* A socket that stays open and is never accepted from would let its clients wait for ever. */
void listen_passed_close_unused(const struct listeners *listeners, struct listen_passed *passed);

/* Opens the seats (server.accept = reuseport, see fleet/seats.h) of each TCP address that is new, and numbers those of
 * all. An address that is open in `before` (NULL: none) keeps as many as it has: connections to a new seat would wait for
 * workers that boot, and be lost when they fail. 0, or -1 logged. */
int listen_seats(struct listeners *listeners, const struct listeners *before, const struct conf_server *conf);

#endif
