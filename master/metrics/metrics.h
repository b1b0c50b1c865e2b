/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics.h: the service seen from outside: the listener of [metrics] bind (/metrics, /healthz, /readyz, /status) and
 * statsd. Both live in the master and ask the workers nothing: they answer while every worker hangs. */
#ifndef TINE_MASTER_METRICS_METRICS_H
#define TINE_MASTER_METRICS_METRICS_H

struct metrics;
struct service;

/* Begins, continues or ends (*metrics is NULL then) as the configuration that serves now has it; to be called after the
 * start, after a reload, and when another binary begins or ends to speak for the service. What cannot be had is logged and
 * left out. `service` stays. */
void metrics_follow(struct metrics **metrics, const struct service *service);
/* NULL: nothing. */
void metrics_free(struct metrics *metrics);

#endif
