/* SPDX-License-Identifier: BSD-3-Clause */
/* statsd.c: Requests were counted already, so one line says how many there were; durations go as a few
 * timings with a sample rate. */
#include "master/metrics/statsd.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/metrics/history.h"
#include "master/service.h"

#define LINE (128 + 2 * CONF_LONGEST_STATSD)
#define PACKET 1400 /* bytes: no fragments on the usual paths */

static int connect_to(const char *address)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    const char *colon = strrchr(address, ':'), *host = address;
    size_t n = (size_t)(colon - host);
    if (n > 1 && host[0] == '[' && host[n - 1] == ']')
        host++, n -= 2;
    char *name = strndup(host, n);
    int rc = name ? getaddrinfo(name, colon + 1, &hints, &found) : EAI_MEMORY;
    int fd = -1;
    if (rc == 0)
        fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) < 0)
        fd_close(&fd);
    if (fd < 0)
        log_error("metrics.statsd %s: %s", address, rc && rc != EAI_SYSTEM ? gai_strerror(rc) : strerror(errno));
    if (rc == 0)
        freeaddrinfo(found);
    free(name);
    return fd;
}

void statsd_open(struct statsd *statsd, const char *address)
{
    if (address && statsd->address && strcmp(address, statsd->address) == 0)
        return;
    statsd_close(statsd);
    if (!address)
        return;
    statsd->address = strdup(address);
    statsd->fd = connect_to(address);
}

void statsd_close(struct statsd *statsd)
{
    fd_close(&statsd->fd);
    free(statsd->address);
    statsd->address = NULL;
}

/* --- lines --- */

struct packet {
    int fd;
    const char *prefix, *tags; /* NULL: none; conf_check.c limits their lengths */
    size_t n;
    char text[PACKET];
};

static void flush(struct packet *packet)
{
    /* ECONNREFUSED belongs to an earlier packet: no server listens, which is fine. */
    if (packet->n && send(packet->fd, packet->text, packet->n - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("statsd: %m");
    packet->n = 0;
}

static void put_metric(struct packet *packet, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_metric(struct packet *packet, const char *format, ...)
{
    char line[LINE];
    va_list args;
    int at = packet->prefix ? snprintf(line, sizeof(line), "%s.", packet->prefix) : 0;
    va_start(args, format);
    at += vsnprintf(line + at, sizeof(line) - (size_t)at, format, args);
    va_end(args);
    if (packet->tags)
        at += snprintf(line + at, sizeof(line) - (size_t)at, "|#%s", packet->tags);
    size_t n = (size_t)at;
    if (packet->n + n + 1 > sizeof(packet->text))
        flush(packet);
    memcpy(packet->text + packet->n, line, n);
    packet->n += n;
    packet->text[packet->n++] = '\n';
}

static void put_statuses(struct packet *packet, const struct score_sums *now, const struct score_sums *before)
{
    for (unsigned i = 0; i < SCORE_STATUSES - 1; i++) {
        uint64_t n = now->status[i] - before->status[i];
        if (n)
            put_metric(packet, "tine.request.status.%u:%" PRIu64 "|c", i + 100, n);
    }
}

/* Eight timings, each the middle of an eighth of the requests, whose sample rate says that it stands for that many: the
 * server's mean, quantiles and counts come out right, at a cost that does not grow with the requests. */
static void put_durations(struct packet *packet, const struct score_sums *now, const struct score_sums *before)
{
    enum { MOST = 8 };
    struct histogram_sum between;
    histogram_between(&between, &now->latency, &before->latency);
    uint64_t total = histogram_total(&between), n = total < MOST ? total : MOST;
    for (uint64_t i = 0; i < n; i++) {
        double share = ((double)i + 0.5) / (double)n;
        double ms = (double)histogram_quantile(&between, share) / 1e6;
        if (n == total)
            put_metric(packet, "tine.request.duration:%.3f|ms", ms);
        else
            put_metric(packet, "tine.request.duration:%.3f|ms|@%.6g", ms, (double)n / (double)total);
    }
}

void statsd_send(const struct statsd *statsd, const struct service *service, const struct history *history)
{
    if (statsd->fd < 0)
        return;
    const struct score_sums *now = &history->sums, *before = &history->older;
    const struct conf_metrics *conf = &service_conf(service)->metrics;
    struct packet packet = { .fd = statsd->fd, .prefix = conf->statsd_prefix, .tags = conf->statsd_tags };
    put_metric(&packet, "tine.workers:%u|g", roll_ready(&service->fleet));
    put_metric(&packet, "tine.connections:%" PRIu64 "|g", now->connections);
    put_metric(&packet, "tine.requests.in_flight:%" PRIu64 "|g", now->inflight);
    if (now->requests != before->requests)
        put_metric(&packet, "tine.requests:%" PRIu64 "|c", now->requests - before->requests);
    put_statuses(&packet, now, before);
    put_durations(&packet, now, before);
    flush(&packet);
}
