/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_limits.c: after how many requests a worker ends, and how long each step of its end may take. Sets no timer. */
#include <sys/random.h>

#include "common/clock.h"
#include "common/least.h"
#include "conf/conf.h"
#include "worker/worker.h"

/* From QUIT to the end; the master kills after 5 s. */
#define QUICK_MS 4000
/* For lifespan shutdown at least. The master kills 2 s after graceful_timeout. */
#define STOP_MS 1300
/* For threads that still run when all else has ended: at least, and after QUIT. */
#define THREADS_MS 300

uint64_t worker_recycle_at(const struct conf_server *conf)
{
    uint64_t random = 0;
    if (!conf->max_requests)
        return 0;
    if (conf->max_requests_jitter && getrandom(&random, sizeof random, 0) == sizeof random)
        random %= (uint64_t)conf->max_requests_jitter + 1;
    else
        random = 0;
    return conf->max_requests + random;
}

void worker_limits_begin(struct worker *w, bool quick)
{
    if (quick)
        w->end_ms = clock_ms() + QUICK_MS;
    else if (!w->end_ms)
        w->end_ms = clock_ms() + w->conf->server.graceful_timeout;
    w->is_quick |= quick;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Of server.shutdown_timeout. */
static uint64_t time_left(const struct worker *w)
{
    uint64_t now = clock_ms();
    return least(w->conf->server.shutdown_timeout, w->end_ms > now ? w->end_ms - now : 0);
}

uint64_t worker_drain_limit(const struct worker *w)
{
    const struct conf_server *conf = &w->conf->server;
    return conf->graceful_timeout - least(conf->shutdown_timeout, conf->graceful_timeout / 2);
}

uint64_t worker_shutdown_limit(const struct worker *w)
{
    return most(time_left(w), STOP_MS);
}

uint64_t worker_threads_limit(const struct worker *w)
{
    return w->is_quick ? THREADS_MS : most(time_left(w), THREADS_MS);
}
