/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics.h: who looks at the service from outside: the listener of [metrics] bind (/metrics, /healthz, /readyz,
 * /status) and statsd. Both live in the master and ask the workers nothing: they answer while every worker hangs. */
#ifndef TINE_MASTER_METRICS_H
#define TINE_MASTER_METRICS_H

struct master;

/* Begins or goes on as the configuration that serves now has it; to be called after the start, after a reload, and when
 * another binary begins or ends to speak for the service. What cannot be had is logged and left out. */
void metrics_follow(struct master *master);
void metrics_stop(struct master *master);

#endif
