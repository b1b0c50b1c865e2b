/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_talk.h: the connection to a master's control socket. */
#ifndef TINE_MASTER_TINECTL_TALK_H
#define TINE_MASTER_TINECTL_TALK_H

#include <stdbool.h>
#include <stddef.h>

/* Where the socket is: what -s said, TINE_CONTROL, [control] socket in `file` (-c, else
 * ./tine.ini), the usual place. malloc'ed. NULL, told on standard error: the file that -c named has
 * none. */
char *talk_find_socket(const char *option, const char *file);
/* The file can be read and names no socket. */
bool talk_file_is_silent(const char *file);

/* A descriptor, or -1 told on standard error. */
int talk_connect(const char *path);
/* One line of an answer without its end, malloc'ed, to `command`. Waits for `seconds` at most (0:
 * for ever). NULL: there is none, and *ret_why says why. */
char *talk_ask(int fd, const char *command, unsigned seconds, size_t *ret_n, const char **ret_why);
/* Returns when the master is gone. */
void talk_wait_end(int fd);

#endif
