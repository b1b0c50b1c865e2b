/* SPDX-License-Identifier: BSD-3-Clause */
/* log_syslog.h: the way of the error log to the syslog daemon of this machine. Keeps nothing. */
#ifndef TINE_COMMON_LOG_SYSLOG_H
#define TINE_COMMON_LOG_SYSLOG_H

#include <stdbool.h>
#include <stddef.h>

/* The path of its socket, of "syslog" or "syslog:/path"; NULL: it is no syslog. */
const char *log_syslog_socket(const char *path);
/* Sends a record that log_line_syslog() has made, as one datagram or, where it is larger than daemons take, as several
 * of whole lines, each with the head. False with errno. */
bool log_syslog_send(int fd, const char *p, size_t n);

#endif
