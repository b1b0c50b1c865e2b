/* SPDX-License-Identifier: BSD-3-Clause */
/* history.c: a sample from the difference of two sums. */
#include "master/metrics/history.h"

#include <string.h>

#include "common/clock.h"
#include "master/service.h"

void history_start(struct history *history, const struct service *service)
{
    history->n = history->next = 0;
    history->taken_ns = clock_ns();
    scoreboard_sum(service->fleet.scoreboard, &history->sums);
}

static uint32_t us_of(const struct histogram_sum *latency, double share)
{
    return (uint32_t)(histogram_quantile(latency, share) / 1000);
}

void history_take(struct history *history, const struct service *service)
{
    uint64_t now = clock_ns();
    double seconds = (double)(now - history->taken_ns) / 1e9;
    struct score_sums *sums = &history->sums, *older = &history->older;
    struct histogram_sum latency;
    memcpy(older, sums, sizeof(*older));
    scoreboard_sum(service->fleet.scoreboard, sums);
    history->taken_ns = now;
    histogram_between(&latency, &sums->latency, &older->latency);
    uint64_t errors = score_status_class(sums, 5) - score_status_class(older, 5);
    history->samples[history->next] = (struct history_sample){
        .requests = (float)((double)(sums->requests - older->requests) / seconds),
        .errors = (float)((double)errors / seconds),
        .p50_us = us_of(&latency, 0.5),
        .p99_us = us_of(&latency, 0.99),
        .inflight = (uint32_t)sums->inflight,
        .connections = (uint32_t)sums->connections,
        .ready = (uint16_t)roll_ready(&service->fleet),
    };
    history->next = (history->next + 1) % HISTORY_SAMPLES;
    if (history->n < HISTORY_SAMPLES)
        history->n++;
}

const struct history_sample *history_at(const struct history *history, unsigned i)
{
    unsigned first = (history->next + HISTORY_SAMPLES - history->n) % HISTORY_SAMPLES;
    return &history->samples[(first + i) % HISTORY_SAMPLES];
}
