/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics.c: see metrics.h. Exists only while somebody is configured to look; then a sample is taken every second. */
#include "master/metrics/metrics.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/generation.h"
#include "master/metrics/history.h"
#include "master/master.h"
#include "master/metrics/metrics_http.h"
#include "master/metrics/statsd.h"

struct metrics {
    struct master *master;
    struct event second;
    struct history history;
    struct metrics_http *http; /* NULL: no bind */
    struct statsd statsd;
};

static void on_second(evutil_socket_t fd, short what, void *arg)
{
    struct metrics *metrics = arg;
    history_take(&metrics->history, metrics->master);
    if (metrics->http)
        metrics_http_look(metrics->http);
    statsd_send(&metrics->statsd, metrics->master, &metrics->history);
}

static struct metrics *metrics_new(struct master *master)
{
    static const struct timeval second = { .tv_sec = 1 };
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return NULL;
    metrics->master = master;
    metrics->statsd.fd = -1;
    history_start(&metrics->history, master);
    event_assign(&metrics->second, master->base, -1, EV_PERSIST, on_second, metrics);
    if (event_add(&metrics->second, &second) == 0)
        return metrics;
    free(metrics);
    return NULL;
}

void metrics_stop(struct master *master)
{
    struct metrics *metrics = master->metrics;
    if (!metrics)
        return;
    master->metrics = NULL;
    event_del(&metrics->second);
    metrics_http_free(metrics->http);
    statsd_close(&metrics->statsd);
    free(metrics);
}

static void listen_again(struct metrics *metrics, size_t n)
{
    const struct listeners *listeners = &metrics->master->current->listeners;
    if (n && !metrics->http)
        metrics->http = metrics_http_new(metrics->master, &metrics->history);
    if (n && !metrics->http)
        log_error("out of memory: no metrics listener");
    if (metrics->http)
        metrics_http_listen(metrics->http, listeners->v + listeners->n_serving, n);
}

/* Two masters on the same sockets: the one that has become ready last speaks. */
static bool another_speaks(const struct master *master)
{
    const struct upgrade *upgrade = &master->upgrade;
    return upgrade->state == UPGRADE_BESIDE || (upgrade->state == UPGRADE_HEIR && !master->started);
}

void metrics_follow(struct master *master)
{
    const struct listeners *listeners = &master->current->listeners;
    size_t n = listeners->n - listeners->n_serving;
    const char *statsd = master->conf->metrics.statsd;
    if (master->state == MASTER_STOPPING)
        return; /* its sockets are closed already; what is there goes on until the end */
    if (another_speaks(master) || (!n && !statsd)) {
        metrics_stop(master);
        return;
    }
    if (!master->metrics && !(master->metrics = metrics_new(master))) {
        log_error("out of memory: no metrics");
        return;
    }
    listen_again(master->metrics, n);
    statsd_open(&master->metrics->statsd, statsd);
}
