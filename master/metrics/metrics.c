/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics.c: exists only while the configuration has a bind or a statsd server; then a sample is taken every second. */
#include "master/metrics/metrics.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/generation.h"
#include "master/metrics/history.h"
#include "master/metrics/metrics_http.h"
#include "master/metrics/statsd.h"
#include "master/service.h"

struct metrics {
    const struct service *service;
    struct event second;
    struct history history;
    struct metrics_http *http; /* NULL: no bind */
    struct statsd statsd;
};

static void on_second(evutil_socket_t fd, short what, void *arg)
{
    struct metrics *metrics = arg;
    history_take(&metrics->history, metrics->service);
    if (metrics->http)
        metrics_http_tick(metrics->http);
    statsd_send(&metrics->statsd, metrics->service, &metrics->history);
}

static struct metrics *metrics_new(const struct service *service)
{
    static const struct timeval second = { .tv_sec = 1 };
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return NULL;
    metrics->service = service;
    metrics->statsd.fd = -1;
    history_start(&metrics->history, service);
    event_assign(&metrics->second, service->fleet.base, -1, EV_PERSIST, on_second, metrics);
    if (event_add(&metrics->second, &second) == 0)
        return metrics;
    free(metrics);
    return NULL;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    event_del(&metrics->second);
    metrics_http_free(metrics->http);
    statsd_close(&metrics->statsd);
    free(metrics);
}

static void listen_again(struct metrics *metrics, size_t n)
{
    const struct listeners *listeners = &metrics->service->fleet.current->listeners;
    if (n && !metrics->http)
        metrics->http = metrics_http_new(metrics->service, &metrics->history);
    if (n && !metrics->http)
        log_error("out of memory: no metrics listener");
    if (metrics->http)
        metrics_http_listen(metrics->http, listeners->v + listeners->n_serving, n);
}

/* Two masters on the same sockets: the one that has become ready last speaks. */
static bool another_speaks(const struct service *service)
{
    return service->upgrade == UPGRADE_BESIDE || (service->upgrade == UPGRADE_HEIR && !service->started);
}

void metrics_follow(struct metrics **metrics, const struct service *service)
{
    const struct listeners *listeners = &service->fleet.current->listeners;
    size_t n = listeners->n - listeners->n_serving;
    const char *statsd = service_conf(service)->metrics.statsd;
    if (service->state == SERVICE_STOPPING)
        return; /* its sockets are closed already; what is there continues until the end */
    if (another_speaks(service) || (!n && !statsd)) {
        metrics_free(*metrics);
        *metrics = NULL;
        return;
    }
    if (!*metrics && !(*metrics = metrics_new(service))) {
        log_error("out of memory: no metrics");
        return;
    }
    listen_again(*metrics, n);
    statsd_open(&(*metrics)->statsd, statsd);
}
