/* SPDX-License-Identifier: BSD-3-Clause */
/* history.h: the last minutes of the service, a sample a second, for the plots of /status. */
#ifndef TINE_MASTER_HISTORY_H
#define TINE_MASTER_HISTORY_H

#include <stdint.h>

#include "common/scoreboard.h"

struct service;

#define HISTORY_SAMPLES 180

struct history_sample {
    float requests, errors;  /* a second; errors: status 5xx */
    uint32_t p50_us, p99_us; /* of the requests that ended in this second; 0: none did */
    uint32_t inflight, connections;
    uint16_t ready; /* workers of the generation that serves */
};

struct history {
    unsigned n;    /* samples taken, up to HISTORY_SAMPLES */
    unsigned next; /* where the next one goes */
    struct history_sample samples[HISTORY_SAMPLES];
    uint64_t taken_ns;       /* clock_ns() of `sums` */
    struct score_sums sums;  /* when the last sample was taken */
    struct score_sums older; /* a second before */
};

/* Begins with what is there now, so that the first sample is a second long. */
void history_start(struct history *history, const struct service *service);
void history_take(struct history *history, const struct service *service);
/* The i-th of n, the oldest first. */
const struct history_sample *history_at(const struct history *history, unsigned i);

#endif
