/* SPDX-License-Identifier: BSD-3-Clause */
/* listen.h: opens the sockets that a configuration names, or takes over those that are open already; they stay for as long
 * as the configuration names them and are handed to every worker. */
#ifndef TINE_MASTER_LISTEN_LISTEN_H
#define TINE_MASTER_LISTEN_LISTEN_H

#include <stdbool.h>

#include "master/listen/listeners.h"

struct conf;
struct conf_bind;
struct conf_server;
struct privs;

/* What systemd passed: descriptors from 3 on. */
struct listen_passed {
    int n; /* 0: none, or not meant for this process */
    char *names; /* LISTEN_FDNAMES; NULL if there is none */
    bool used; /* some bind took them */
};

/* Takes LISTEN_* out of the environment. To be called before a fork: LISTEN_PID names the process that was started. */
void listen_take_passed(struct listen_passed *passed);
void listen_passed_done(struct listen_passed *passed);

/* Opens every bind of the configuration, the metrics' as well. A bind or an address that is open in `before` (NULL: none)
 * becomes a second descriptor of the same socket: no connection in its queue is lost when either is closed. 0, or -1
 * logged with the address and the reason; what was opened stays for listeners_close(). */
int listeners_open(struct listeners *listeners, const struct listeners *before, const struct conf *conf,
                   const struct privs *privs, struct listen_passed *passed) __attribute__((warn_unused_result));

/* Opens one Unix socket: conf->socket_mode is its mode, whatever the umask is. 0, or -1 logged. */
int listen_unix(struct listeners *listeners, const struct conf_bind *bind, const struct conf_server *conf,
                const struct privs *privs) __attribute__((warn_unused_result));

/* --- from one master to the next, by descriptors and the environment --- */

/* "3=127.0.0.1:8000,4=unix:/path": descriptor and bind of each; malloc'ed, NULL: out of memory. */
char *listeners_hand_over(const struct listeners *listeners);
/* Lets the descriptors pass an exec. 0, or -1 with errno. */
int listeners_keep_open(const struct listeners *listeners);
/* Takes what listeners_hand_over() wrote, as shared ones; what is not a listening socket is logged and left out. */
void listeners_take_over(struct listeners *listeners, const char *text);

#endif
