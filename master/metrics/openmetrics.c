/* SPDX-License-Identifier: BSD-3-Clause */
/* openmetrics.c: Every family is written once, whole, with all of its samples
 * after it (OpenMetrics 1.0.0, "MetricFamily"); a counter's samples end in _total, and so does its
 * family's name in the older format. The number of series is bounded: by tables, by the workers, by
 * SCORE_ROUTES_ALL. */
#include "master/metrics/openmetrics.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "common/scoreboard.h"
#include "master/service.h"
#include "master/metrics/readiness.h"
#include "master/metrics/snapshot.h"

enum kind { COUNTER, GAUGE, HISTOGRAM, INFO };

struct writer {
    FILE *out;
    enum openmetrics_format format;
    const char *family, *suffix;
};

const char *openmetrics_type(enum openmetrics_format format)
{
    return format == OPENMETRICS_1_0 ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                     : "text/plain; version=0.0.4; charset=utf-8";
}

/* --- families and samples --- */

/* Begins a family; `unit` is the ending of its name, or "". */
static void family(struct writer *w, enum kind kind, const char *name, const char *unit, const char *help)
{
    static const char *const types[] = { "counter", "gauge", "histogram", "info" };
    static const char *const suffixes[] = { "_total", "", "", "_info" };
    bool open = w->format == OPENMETRICS_1_0;
    const char *type = !open && kind == INFO ? types[GAUGE] : types[kind];
    w->family = name;
    w->suffix = suffixes[kind];
    fprintf(w->out, "# TYPE %s%s %s\n", name, open ? "" : w->suffix, type);
    if (open && *unit)
        fprintf(w->out, "# UNIT %s %s\n", name, unit);
    fprintf(w->out, "# HELP %s%s %s\n", name, open ? "" : w->suffix, help);
}

/* `labels` without braces, "": none. */
static void name_sample(const struct writer *w, const char *labels)
{
    fprintf(w->out, "%s%s%s%s%s ", w->family, w->suffix, *labels ? "{" : "", labels, *labels ? "}" : "");
}

static void sample(const struct writer *w, const char *labels, uint64_t value)
{
    name_sample(w, labels);
    fprintf(w->out, "%" PRIu64 "\n", value);
}

static void sample_seconds(const struct writer *w, const char *labels, double value)
{
    name_sample(w, labels);
    fprintf(w->out, "%.6f\n", value);
}

static void single(struct writer *w, enum kind kind, const char *name, const char *help, uint64_t value)
{
    family(w, kind, name, "", help);
    sample(w, "", value);
}

/* A label whose value comes from outside; cut where it does not fit. */
static const char *label(char *to, size_t size, const char *name, const char *value)
{
    size_t n = (size_t)snprintf(to, size, "%s=\"", name);
    for (; *value && n + 3 < size; value++) {
        if (*value == '"' || *value == '\\')
            to[n++] = '\\';
        to[n++] = *value;
        if (*value < 0x20 || *value >= 0x7f)
            to[n - 1] = '?';
    }
    to[n++] = '"';
    to[n] = '\0';
    return to;
}

/* --- the service --- */

static void write_states(struct writer *w, const struct snapshot *snapshot)
{
    static const char *const names[] = { "starting", "running", "reloading", "leaving", "stopping" };
    char labels[64];
    family(w, GAUGE, "tine_state", "", "State of the service: 1 for the present one.");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        sample(w, label(labels, sizeof(labels), "state", names[i]),
               strcmp(names[i], snapshot_service_state(snapshot)) == 0);
}

static void write_worker_counts(struct writer *w, const struct snapshot *snapshot)
{
    static const char *const names[] = {
        "waiting", "starting", "ready", "draining", "killed", "hung", "silent", "stuck"
    };
    char labels[64];
    family(w, GAUGE, "tine_workers", "", "Workers of all generations, by state.");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        uint64_t n = 0;
        for (size_t j = 0; j < snapshot->n_workers; j++)
            n += strcmp(names[i], snapshot_worker_state(&snapshot->workers[j])) == 0;
        sample(w, label(labels, sizeof(labels), "state", names[i]), n);
    }
    single(w, GAUGE, "tine_workers_wanted", "Workers that the service is to have.", snapshot->workers_wanted);
}

static void write_counters(struct writer *w, const struct snapshot *snapshot)
{
    const struct counters *counters = &snapshot->service->fleet.counters;
    single(w, COUNTER, "tine_worker_starts", "Worker processes started.", counters->started);
    family(w, COUNTER, "tine_worker_failures", "",
           "Workers that ended unasked: before they were ready (boot), later (crash), or killed after "
           "server.timeout (hang).");
    sample(w, "reason=\"boot\"", counters->boot_failures);
    sample(w, "reason=\"crash\"", counters->crashed);
    sample(w, "reason=\"hang\"", counters->hung);
    single(w, COUNTER, "tine_worker_recycles", "Workers replaced because they had served long enough.",
           counters->recycled);
    single(w, COUNTER, "tine_worker_recycles_held_back",
           "Replacements after which the next one had to wait, because workers are replaced too often.",
           counters->held_back);
    single(w, COUNTER, "tine_worker_early_ends", "Workers that ended by themselves within a second of being ready.",
           counters->early);
    family(w, COUNTER, "tine_reloads", "", "Reloads, by outcome.");
    sample(w, "outcome=\"done\"", snapshot->reloads_done);
    sample(w, "outcome=\"failed\"", snapshot->reloads_failed);
    single(w, GAUGE, "tine_generation", "Number of the generation that serves.", snapshot->generation);
}

static double seconds_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/* Workers: those that were collected, and the living ones. */
static void write_cpu(struct writer *w, const struct snapshot *snapshot)
{
    struct rusage self = { 0 }, children = { 0 };
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    double workers = seconds_of(&children);
    for (size_t i = 0; i < snapshot->n_workers; i++)
        workers += (double)snapshot->workers[i].cpu_ms / 1000.0;
    family(w, COUNTER, "tine_cpu_seconds", "seconds", "Processor time, user and system.");
    sample_seconds(w, "process=\"master\"", seconds_of(&self));
    sample_seconds(w, "process=\"workers\"", workers);
}

static void write_service(struct writer *w, const struct snapshot *snapshot)
{
    char labels[128];
    family(w, INFO, "tine_build", "", "Version of the server.");
    sample(w, label(labels, sizeof(labels), "version", snapshot->version), 1);
    family(w, GAUGE, "tine_start_time_seconds", "seconds", "When the master was started, in seconds since 1970.");
    sample(w, "", (uint64_t)snapshot->started_at);
    single(w, GAUGE, "tine_ready", "1 while /readyz says 200.", !readiness_fault(snapshot->service));
    write_states(w, snapshot);
    write_worker_counts(w, snapshot);
    write_counters(w, snapshot);
    write_cpu(w, snapshot);
}

/* --- requests --- */

static void write_statuses(struct writer *w, const struct score_sums *sums)
{
    static const char *const classes[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    char labels[64];
    family(w, COUNTER, "tine_requests", "",
           "Requests that are over, by class of their status; none: the client left before there was one.");
    for (unsigned i = 0; i < 6; i++)
        sample(w, label(labels, sizeof(labels), "status", classes[i]), score_status_class(sums, i));
    family(w, COUNTER, "tine_responses", "", "Responses, by status code.");
    for (unsigned i = 0; i < SCORE_STATUSES - 1; i++) {
        if (!sums->status[i])
            continue;
        snprintf(labels, sizeof(labels), "code=\"%u\"", i + 100);
        sample(w, labels, sums->status[i]);
    }
    family(w, COUNTER, "tine_request_methods", "", "Requests that are over, by method.");
    for (unsigned i = 0; i < SCORE_METHODS; i++)
        sample(w, label(labels, sizeof(labels), "method", score_method_name(i)), sums->method[i]);
}

/* The end of a bucket's line. */
static void end_bucket(const struct writer *w, const struct exemplar_seen *seen)
{
    if (seen && seen->at_ms && w->format == OPENMETRICS_1_0)
        fprintf(w->out, " # {trace_id=\"%016" PRIx64 "%016" PRIx64 "\"} %.9f %.3f", seen->trace[0], seen->trace[1],
                (double)seen->took_ns / 1e9, (double)seen->at_ms / 1e3);
    fputc('\n', w->out);
}

/* `seen`: an exemplar for each bucket; NULL: there are none. */
static void write_histogram(struct writer *w, const char *name, const char *help, const struct histogram_sum *h,
                            const struct exemplar_seen *seen)
{
    static const char *const bounds[EXEMPLARS - 1] = {
        "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",  "0.1",
        "0.25",   "0.5",     "1.0",    "2.5",   "5.0",    "10.0",  "25.0", "50.0",  "100.0",
    };
    uint64_t total = histogram_total(h);
    family(w, HISTOGRAM, name, "seconds", help);
    for (size_t i = 0; i < EXEMPLARS - 1; i++) {
        fprintf(w->out, "%s_bucket{le=\"%s\"} %" PRIu64, name, bounds[i],
                histogram_at_most(h, exemplar_bounds_us[i] * 1000));
        end_bucket(w, seen ? &seen[i] : NULL);
    }
    fprintf(w->out, "%s_bucket{le=\"+Inf\"} %" PRIu64, name, total);
    end_bucket(w, seen ? &seen[EXEMPLARS - 1] : NULL);
    fprintf(w->out, "%s_count %" PRIu64 "\n%s_sum %.9f\n", name, total, name, (double)h->sum_ns / 1e9);
}

/* Where there are several. */
static void write_mounts(struct writer *w, const struct score_sums *sums)
{
    char labels[2 * SCORE_MOUNT + 16];
    if (!sums->n_mounts)
        return;
    family(w, COUNTER, "tine_mount_requests", "", "Requests that are over, by the path of their application.");
    for (unsigned i = 0; i < sums->n_mounts; i++)
        sample(w, label(labels, sizeof(labels), "mount", sums->mount[i].name), sums->mount[i].requests);
    family(w, COUNTER, "tine_mount_errors", "", "Of these, those answered with 5xx.");
    for (unsigned i = 0; i < sums->n_mounts; i++)
        sample(w, label(labels, sizeof(labels), "mount", sums->mount[i].name), sums->mount[i].errors);
    family(w, COUNTER, "tine_mount_duration_seconds", "seconds", "What they have taken in all.");
    for (unsigned i = 0; i < sums->n_mounts; i++)
        sample_seconds(w, label(labels, sizeof(labels), "mount", sums->mount[i].name),
                       (double)sums->mount[i].took_ns / 1e9);
}

/* One family per run of rows with the same name. */
static void write_figures(struct writer *w, const struct score_sums *sums)
{
    const char *last = "";
#define FIGURE(kind, field, name, labels, unit, help) \
    if ((name)[0]) {                                  \
        if (strcmp(last, name) != 0)                  \
            family(w, kind, name, unit, help);        \
        sample(w, labels, sums->field);               \
        last = name;                                  \
    }
#define SCORE_COUNTER(field, name, labels, unit, help) FIGURE(COUNTER, field, name, labels, unit, help)
#define SCORE_GAUGE(field, name, labels, help) FIGURE(GAUGE, field, name, labels, "", help)
#include "common/score_figures.def"
#undef FIGURE
    family(w, COUNTER, "tine_gil_wait_seconds", "seconds",
           "Time that threads of event loops have waited for the GIL, which other threads held.");
    sample_seconds(w, "", (double)sums->gil_wait_ns / 1e9);
    if (!sums->tls_expires)
        return;
    family(w, GAUGE, "tine_tls_certificate_expiry_seconds", "seconds",
           "When the first of the certificates in use expires, in seconds since 1970.");
    sample(w, "", (uint64_t)sums->tls_expires);
}

static void write_routes(struct writer *w, const struct score_sums *sums)
{
    char labels[2 * SCORE_ROUTE + 16];
    family(w, COUNTER, "tine_route_blocking_steps", "",
           "Steps of an event loop longer than app.blocking_warning, by where in the application.");
    for (unsigned i = 0; i < sums->n_routes; i++)
        if (sums->route[i].blocked)
            sample(w, label(labels, sizeof(labels), "route", sums->route[i].name), sums->route[i].blocked);
    family(w, COUNTER, "tine_route_blocking_seconds", "seconds", "The time that those steps took.");
    for (unsigned i = 0; i < sums->n_routes; i++)
        if (sums->route[i].blocked)
            sample_seconds(w, label(labels, sizeof(labels), "route", sums->route[i].name),
                           (double)sums->route[i].blocked_ns / 1e9);
    family(w, COUNTER, "tine_route_slow_requests", "",
           "Requests longer than log.slow_request, by where in the application.");
    for (unsigned i = 0; i < sums->n_routes; i++)
        if (sums->route[i].slow)
            sample(w, label(labels, sizeof(labels), "route", sums->route[i].name), sums->route[i].slow);
}

/* --- workers --- */

static void sample_of(struct writer *w, const struct snapshot_worker *worker, uint64_t value)
{
    char labels[32];
    snprintf(labels, sizeof(labels), "worker=\"%u\"", worker->number);
    sample(w, labels, value);
}

#define EACH_WORKER(w, snapshot, value)                             \
    for (size_t i = 0; i < (snapshot)->n_workers; i++) {            \
        const struct snapshot_worker *it = &(snapshot)->workers[i]; \
        if (it->pid)                                                \
            sample_of(w, it, value);                                \
    }

static void write_workers(struct writer *w, const struct snapshot *snapshot)
{
    family(w, GAUGE, "tine_worker_connections_open", "", "Connections of this worker.");
    EACH_WORKER(w, snapshot, it->connections)
    family(w, GAUGE, "tine_worker_requests_in_flight", "", "Requests that this worker is answering.");
    EACH_WORKER(w, snapshot, it->inflight)
    family(w, GAUGE, "tine_worker_resident_memory_bytes", "bytes", "Resident memory of this worker.");
    EACH_WORKER(w, snapshot, it->memory_bytes)
    family(w, GAUGE, "tine_worker_age_seconds", "seconds", "Time since this worker was started.");
    EACH_WORKER(w, snapshot, it->age_ms / 1000)
    family(w, GAUGE, "tine_worker_silent_seconds", "seconds", "Time since the event loop of this worker last turned.");
    EACH_WORKER(w, snapshot, it->silent_ms / 1000)
}

void openmetrics_write(FILE *out, enum openmetrics_format format, const struct snapshot *snapshot)
{
    struct writer w = { .out = out, .format = format };
    const struct score_sums *sums = &snapshot->sums;
    write_service(&w, snapshot);
    write_statuses(&w, sums);
    write_histogram(&w, "tine_request_duration_seconds",
                    "Time from the end of a request's head to the end of its response.", &sums->latency,
                    snapshot->exemplars);
    write_histogram(
        &w, "tine_request_queue_seconds",
        "Time that requests have waited for their turn (http.max_inflight) or for a thread, those that did.",
        &sums->queue, NULL);
    write_mounts(&w, sums);
    write_figures(&w, sums);
    write_routes(&w, sums);
    write_workers(&w, snapshot);
    if (format == OPENMETRICS_1_0)
        fputs("# EOF\n", out);
}
