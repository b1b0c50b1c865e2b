/* SPDX-License-Identifier: BSD-3-Clause */
/* log_journal.h: the way to journald's native socket. Keeps nothing. */
#ifndef TINE_COMMON_LOG_JOURNAL_H
#define TINE_COMMON_LOG_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* The path of its socket, of "journald" or "journald:/path"; NULL: it is a file. */
const char *log_journal_socket(const char *path);
/* A connected socket, or -1 with errno. */
int log_journal_connect(const char *path) __attribute__((warn_unused_result));
/* Whether standard error leads to the journal (systemd.exec(5), JOURNAL_STREAM): lines there would have one priority, and a
 * traceback would be as many entries. */
bool log_journal_is_stderr(void);
/* One entry; what is too large for a datagram goes in a sealed file (systemd's JOURNAL_NATIVE_PROTOCOL). False with errno. */
bool log_journal_send(int fd, const char *p, size_t n);

#endif
