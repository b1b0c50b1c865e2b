/* SPDX-License-Identifier: BSD-3-Clause */
/* listeners.h: the table of listening sockets of one generation, with the socket files that belong to them. */
#ifndef TINE_MASTER_LISTEN_LISTENERS_H
#define TINE_MASTER_LISTEN_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/heritage.h"

struct conf_bind;

/* A socket file that we made: removed at the end, if it is still ours. */
struct listen_file {
    char *path;
    dev_t dev;
    ino_t ino;
    pid_t maker;
};

struct listeners {
    struct listener *v;
    size_t n;
    size_t n_serving; /* the first ones are server.bind's; the rest are metrics.bind's, the master's own */
    struct listen_file *files;
    size_t n_files;
    bool shared; /* another master has them too: socket files stay where they are */
};

/* Adds a listening descriptor; its address is read from the kernel. Takes fd in any case. 0, or -1 logged. */
int listeners_add(struct listeners *listeners, const struct conf_bind *bind, int fd)
    __attribute__((warn_unused_result));
/* Adds another descriptor of a socket that is open already. 0, or -1 logged. */
int listeners_add_again(struct listeners *listeners, const struct conf_bind *bind, const struct listener *open)
    __attribute__((warn_unused_result));
/* Remembers a socket file as ours. 0, or -1 with errno. */
int listeners_own_file(struct listeners *listeners, const char *path) __attribute__((warn_unused_result));

/* `after` takes the place of `before`: gets the socket files that it still listens on (all of them if they are shared);
 * then `before` is closed. */
void listeners_replace(struct listeners *before, struct listeners *after);
/* Closes the sockets and removes the files that this process made; shared ones are remembered, so that a later call can
 * remove them. */
void listeners_close(struct listeners *listeners);
/* The same, and forgets the files that are still shared. */
void listeners_done(struct listeners *listeners);

/* "127.0.0.1:8000", "[::1]:8000", "unix:/path", "unix:@abstract"; malloc'ed, NULL: out of memory. */
char *listeners_address(const struct sockaddr_storage *addr, socklen_t n);

#endif
