/* SPDX-License-Identifier: BSD-3-Clause */
/* statsd.h: gunicorn's metrics for a statsd server, by UDP, once a second. */
#ifndef TINE_MASTER_STATSD_H
#define TINE_MASTER_STATSD_H

#include <stdint.h>

struct history;
struct service;

struct statsd {
    int fd;        /* connected, non-blocking; -1: none */
    char *address; /* that fd is for, or that could not be had; NULL: none */
};

/* "host:port", NULL: none. The name is looked up now; a failure is logged and nothing is sent. */
void statsd_open(struct statsd *statsd, const char *address);
void statsd_close(struct statsd *statsd);
/* What has changed since the last sample. Never waits; what the kernel does not take is lost, as UDP has it. */
void statsd_send(const struct statsd *statsd, const struct service *service, const struct history *history);

#endif
