/* SPDX-License-Identifier: BSD-3-Clause */
/* log_daemon.h: lines to the log daemon of this machine, a datagram each, without ever waiting for it.
 *
 * syslog gets what glibc's syslog(3) writes to /dev/log (RFC 3164 without the host: "<30>Oct 11 22:14:15 tine[123]: line"),
 * journald its native protocol. Facility daemon, severity info. */
#ifndef TINE_HTTP_LOG_DAEMON_H
#define TINE_HTTP_LOG_DAEMON_H

#include <stddef.h>

#include "common/span.h"
#include "conf/log_dest.h"

struct log_daemon;

enum log_sent {
    LOG_SENT,
    LOG_LATER,  /* errno EAGAIN: its queue is full; else why it is not there. The line may be offered again */
    LOG_REFUSED /* this line can never be sent */
};

/* name: of the program, as the daemon shows it. Copies both. It does not matter whether the daemon is there yet.
 * NULL with errno. */
struct log_daemon *log_daemon_new(const struct log_dest *dest, const char *name);
void log_daemon_free(struct log_daemon *d);
/* A new connection, at once if the daemon is there. 0, or -1 with errno: it is not. */
int log_daemon_connect(struct log_daemon *d);
/* The line comes without its "\n" and has none inside. */
enum log_sent log_daemon_send(struct log_daemon *d, struct span line);
/* What daemons take without cutting, bytes. */
size_t log_daemon_max_line(const struct log_daemon *d);

#endif
