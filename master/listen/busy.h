/* SPDX-License-Identifier: BSD-3-Clause */
/* busy.h: who holds an address that is in use. */
#ifndef TINE_MASTER_BUSY_H
#define TINE_MASTER_BUSY_H

#include <sys/socket.h>

/* "nginx (pid 123)", to be freed; NULL: it cannot be known: the process is another user's, or in another namespace. From
 * /proc, for a message: it may have changed by now. IPv4, IPv6 and Unix sockets with a path. */
char *busy_holder(const struct sockaddr *addr);

#endif
