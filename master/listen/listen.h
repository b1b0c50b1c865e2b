/* SPDX-License-Identifier: BSD-3-Clause */
/* listen.h: the sockets of the service: made or inherited, kept for as long as the configuration
 * names them, handed to every worker. */
#ifndef TINE_MASTER_LISTEN_H
#define TINE_MASTER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/heritage.h"

struct conf;
struct conf_bind;
struct conf_server;
struct privs;

/* What systemd passed: descriptors from 3 on. */
struct listen_passed {
    int n;       /* 0: none, or not meant for this process */
    char *names; /* LISTEN_FDNAMES; NULL if there is none */
    bool used;   /* some bind took them */
};

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

/* Takes LISTEN_* out of the environment. To be called before a fork: LISTEN_PID names the process
 * that was started. */
void listen_take_passed(struct listen_passed *passed);
void listen_passed_done(struct listen_passed *passed);

/* Opens every bind of the configuration, the metrics' as well. A bind or an address that is open in `before` (NULL: none)
 * becomes a second descriptor of the same socket: no connection in its queue is lost when either is
 * closed. 0, or -1 logged with the address and the reason; what was opened stays for
 * listeners_close(). */
int listeners_open(struct listeners *listeners, const struct listeners *before, const struct conf *conf,
                   const struct privs *privs, struct listen_passed *passed) __attribute__((warn_unused_result));
/* `after` takes the place of `before`: gets the socket files that it still listens on (all of them
 * if they are shared); then `before` is closed. */
void listeners_replace(struct listeners *before, struct listeners *after);
/* Closes the sockets and removes the files that this process made; shared ones are kept in mind, so
 * that a later call can remove them. */
void listeners_close(struct listeners *listeners);
/* The same, and forgets the files that are still shared. */
void listeners_done(struct listeners *listeners);

/* --- listen_handed.c: from one master to the next, by descriptors and the environment --- */

/* "3=127.0.0.1:8000,4=unix:/path": descriptor and bind of each; malloc'ed, NULL: out of memory. */
char *listeners_hand_over(const struct listeners *listeners);
/* Lets the descriptors pass an exec. 0, or -1 with errno. */
int listeners_keep_open(const struct listeners *listeners);
/* Takes what listeners_hand_over() wrote, as shared ones; what is no listening socket is reported
 * and left out. */
void listeners_take_over(struct listeners *listeners, const char *text);

/* --- for listen_unix.c, listen_passed.c and listen_handed.c --- */

/* Adds a listening descriptor; its address is read from the kernel. Takes fd in any case. 0, or -1
 * logged. */
int listeners_add(struct listeners *listeners, const struct conf_bind *bind, int fd);
int listen_unix(struct listeners *listeners, const struct conf_bind *bind, const struct conf_server *conf,
                const struct privs *privs);
/* The file of a bind of ours is there. */
bool listen_unix_is_there(const struct conf_bind *bind);
/* Remembers a socket file as ours. 0, or -1 with errno. */
int listen_unix_own(struct listeners *listeners, const char *path);
/* What is wrong with it as a listening stream socket; NULL: nothing. */
const char *listen_fd_fault(int fd);
/* A descriptor that is one of `before` is ours already, not handed down: refused. */
int listen_fd(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind);
/* A socket that stays open and is never accepted from would let its clients wait for ever. */
void listen_passed_close_unused(const struct listeners *listeners, struct listen_passed *passed);
int listen_systemd(struct listeners *listeners, const struct conf_bind *bind, struct listen_passed *passed);

#endif
