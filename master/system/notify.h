/* SPDX-License-Identifier: BSD-3-Clause */
/* notify.h: reports to systemd (or whatever set NOTIFY_SOCKET) how the service is: sd_notify(3) without
 * libsystemd. */
#ifndef TINE_MASTER_NOTIFY_H
#define TINE_MASTER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: there is no service manager */
    struct sockaddr_un addr;
    socklen_t addr_len;
    uint64_t watchdog_us; /* WATCHDOG=1 is expected this often; 0: never */
    bool quiet;           /* another process speaks for the service: nothing is sent */
};

/* Takes NOTIFY_SOCKET out of the environment: applications and their children must not speak for
 * the service. A socket that cannot be used is reported and then ignored. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);
/* Puts into the environment what notify_open() of another program takes out. 0, or -1: out of memory. */
int notify_hand_over(const struct notify *notify) __attribute__((warn_unused_result));
/* Assignments separated by newlines. Never blocks; what cannot be sent is lost. */
void notify_send(const struct notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
