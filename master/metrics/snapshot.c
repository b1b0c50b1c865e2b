/* SPDX-License-Identifier: BSD-3-Clause */
/* snapshot.c: must never change anything that it looks at. */
#include "master/metrics/snapshot.h"

#include <config.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/json_out.h"
#include "common/log.h"
#include "common/redact.h"
#include "common/version.h"
#include "conf/conf.h"
#include "master/fleet/generation.h"
#include "master/metrics/readiness.h"

#define NS_PER_MS 1000000u

/* --- what the kernel knows of a process --- */

/* Resident memory and processor time from /proc/PID/stat, one call for both (proc(5)). */
static void read_process(struct snapshot_worker *worker)
{
    char path[32], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)worker->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    /* The name, in parentheses, may hold anything; after it: field 3 on. */
    const char *rest = strrchr(text, ')');
    uint64_t user = 0, system = 0, pages = 0;
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes no number out of range
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                        " %*d %*d %*d %*d %*d %*d %*u %*u %" SCNu64,
                        &user, &system, &pages) != 3)
        return;
    long ticks = sysconf(_SC_CLK_TCK);
    worker->cpu_ms = (user + system) * 1000 / (uint64_t)(ticks > 0 ? ticks : 100);
    worker->memory_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- a worker --- */

static int compare_started(const void *a, const void *b)
{
    const struct score_request *x = a, *y = b;
    return (x->started_ns > y->started_ns) - (x->started_ns < y->started_ns);
}

static void take_held(struct snapshot_worker *worker, const struct score *score, const struct conf_list *hidden,
                      uint64_t now)
{
    struct score_request found[SCORE_REQUESTS];
    worker->n_held = score_read_requests(score, found);
    qsort(found, worker->n_held, sizeof(*found), compare_started);
    for (unsigned i = 0; i < worker->n_held; i++) {
        uint64_t since = found[i].started_ns;
        worker->held[i].for_ms = now > since ? (now - since) / NS_PER_MS : 0;
        size_t n = redact(worker->held[i].line, SCORE_LINE - 1, span_of(found[i].line), hidden->v, hidden->n);
        worker->held[i].line[n] = '\0';
        memcpy(worker->held[i].client, found[i].client, sizeof(found[i].client));
    }
}

static void take_score(struct snapshot_worker *worker, const struct slot *slot, const struct score *score, uint64_t now)
{
    uint64_t beat = atomic_load_explicit(&score->heartbeat_ns, memory_order_relaxed);
    if (slot->state == SLOT_READY && beat && now > beat)
        worker->silent_ms = (now - beat) / NS_PER_MS;
    struct score_sums sums = { 0 };
    score_read(score, &sums);
    worker->connections = (uint32_t)sums.connections;
    worker->inflight = (uint32_t)sums.inflight;
    worker->threads = (uint32_t)sums.threads;
    worker->threads_busy = (uint32_t)sums.threads_busy;
    worker->threads_lost = (uint32_t)sums.threads_lost;
    worker->stalled = sums.stalled != 0;
    worker->accepted = sums.accepted;
    worker->woken_in_vain = sums.woken_in_vain;
    worker->requests = sums.requests;
    worker->errors = score_status_class(&sums, 5);
    worker->log_dropped = sums.log_dropped;
    worker->latency = sums.latency;
    take_held(worker, score, &slot->generation->conf->log.redact, now);
}

static void take_worker(struct snapshot_worker *worker, const struct service *service, const struct slot *slot,
                        uint64_t now)
{
    *worker = (struct snapshot_worker){ .number = slot->index + 1,
                                        .pid = slot->pid,
                                        .state = slot->state,
                                        .generation = slot->generation->number,
                                        .current = slot->generation == service->fleet.current || roll_counts_on(slot),
                                        .hung = slot_is_hung(slot),
                                        .main_interpreter = slot->main_interpreter,
                                        .recycle = slot->farewell == SLOT_RECYCLE };
    if (slot->state == SLOT_EMPTY)
        return;
    uint64_t now_ms = now / NS_PER_MS;
    worker->age_ms = now_ms > slot->started_ms ? now_ms - slot->started_ms : 0;
    take_score(worker, slot, &service->fleet.scoreboard->slot[slot->index], now);
    read_process(worker);
}

/* --- the service --- */

static enum snapshot_reload outcome_of(const struct reload_outcome *reload)
{
    if (!reload->ended_at)
        return SNAPSHOT_RELOAD_NONE;
    return reload->last_failed ? SNAPSHOT_RELOAD_FAILED : SNAPSHOT_RELOAD_DONE;
}

static void take_service(const struct service *service, struct snapshot *s, uint64_t now_ms)
{
    const struct reload_outcome *reload = &service->reload;
    *s = (struct snapshot){
        .service = service,
        .version = TINE_VERSION,
        .app = conf_app_name(service_conf(service)),
        .pid = getpid(),
        .state = service->state,
        .paused = service->fleet.paused,
        .generation = service->fleet.current->number,
        .started_at = service->started_at,
        .uptime_ms = now_ms - service->started_ms,
        .workers_wanted = service->fleet.current->target,
        .workers_ready = roll_ready(&service->fleet),
        .workers_alive = slots_alive(&service->fleet.slots),
        .reloads_done = reload->done,
        .reloads_failed = reload->failed,
        .reload = outcome_of(reload),
        .reload_at = reload->ended_at,
        .reload_error = reload->error,
    };
    scoreboard_sum(service->fleet.scoreboard, &s->sums);
    s->sums.error_log_dropped += log_dropped(); /* the master's own */
    for (unsigned i = 0; service_conf(service)->http.traceparent != CONF_TRACE_OFF && i < service->fleet.slots.n; i++)
        exemplar_read(service->fleet.scoreboard->slot[i].exemplar, s->exemplars);
}

int snapshot_take(const struct service *service, struct snapshot *ret)
{
    uint64_t now = clock_ns();
    size_t n = 0;
    for (unsigned i = 0; i < service->fleet.slots.n; i++)
        n += service->fleet.slots.v[i].generation != NULL;
    struct snapshot_worker *workers = calloc(n + 1, sizeof(*workers));
    if (!workers)
        return -1;
    take_service(service, ret, now / NS_PER_MS);
    ret->workers = workers;
    for (unsigned i = 0; i < service->fleet.slots.n; i++)
        if (service->fleet.slots.v[i].generation)
            take_worker(&workers[ret->n_workers++], service, &service->fleet.slots.v[i], now);
    return 0;
}

void snapshot_done(struct snapshot *snapshot)
{
    free(snapshot->workers);
    snapshot->workers = NULL;
    snapshot->n_workers = 0;
}

/* --- names --- */

const char *snapshot_service_state(const struct snapshot *snapshot)
{
    static const char *const names[] = {
        [SERVICE_STARTING] = "starting", [SERVICE_RUNNING] = "running",   [SERVICE_RELOADING] = "reloading",
        [SERVICE_LEAVING] = "leaving",   [SERVICE_STOPPING] = "stopping",
    };
    return names[snapshot->state];
}

const char *snapshot_worker_state(const struct snapshot_worker *worker)
{
    static const char *const names[] = {
        [SLOT_EMPTY] = "waiting",     [SLOT_STARTING] = "starting", [SLOT_READY] = "ready",
        [SLOT_DRAINING] = "draining", [SLOT_KILLED] = "killed",
    };
    if (worker->state == SLOT_READY && (worker->hung || worker->silent_ms > SNAPSHOT_SILENT_MS))
        return worker->hung ? "hung" : "silent";
    if (worker->state == SLOT_READY && worker->stalled && worker->threads_lost >= worker->threads && worker->threads)
        return "stuck";
    return names[worker->state];
}

const char *snapshot_reload_outcome(const struct snapshot *snapshot)
{
    static const char *const names[] = {
        [SNAPSHOT_RELOAD_NONE] = "none",
        [SNAPSHOT_RELOAD_DONE] = "done",
        [SNAPSHOT_RELOAD_FAILED] = "failed",
    };
    return names[snapshot->reload];
}

/* --- JSON --- */

static double seconds(uint64_t ms)
{
    return (double)ms / 1000.0;
}

static void write_binds(const struct snapshot *snapshot, struct json_out *j)
{
    const struct listeners *listeners = &snapshot->service->fleet.current->listeners;
    json_array(j, "binds");
    for (size_t i = 0; i < listeners->n_serving; i++) {
        const struct listener *l = &listeners->v[i];
        if (l->seat)
            continue;
        json_object(j, NULL);
        json_string(j, "address", l->text);
        json_bool(j, "tls", l->tls);
        json_bool(j, "h2c", l->h2c);
        json_bool(j, "proxy", l->proxy);
        json_end_object(j);
    }
    json_end_array(j);
}

/* Of workers that are born now. */
static void write_interpreter(const struct snapshot *snapshot, struct json_out *j)
{
    const struct generation *generation = snapshot->service->fleet.current;
    json_string(j, "python", generation->python);
    json_string(j, "interpreter", verdict_name(&generation->verdict));
    json_string(j, "interpreter_because", verdict_because(&generation->verdict));
    json_string(j, "loop", conf_loop_name(generation->conf->app.loop));
}

static void write_reload(const struct snapshot *snapshot, struct json_out *j)
{
    json_object(j, "reload");
    json_uint(j, "done", snapshot->reloads_done);
    json_uint(j, "failed", snapshot->reloads_failed);
    json_string(j, "last", snapshot_reload_outcome(snapshot));
    if (snapshot->reload_at)
        json_int(j, "last_at", snapshot->reload_at);
    else
        json_null(j, "last_at");
    json_string(j, "error", snapshot->reload_error);
    json_end_object(j);
}

static void write_latency(const struct histogram_sum *latency, struct json_out *j)
{
    json_number(j, "p50_ms", (double)histogram_quantile(latency, 0.5) / 1e6, 4);
    json_number(j, "p99_ms", (double)histogram_quantile(latency, 0.99) / 1e6, 4);
}

static void write_buckets(const struct histogram_sum *latency, struct json_out *j)
{
    json_array(j, "latency");
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (!latency->count[i])
            continue;
        json_uint(j, NULL, i);
        json_uint(j, NULL, latency->count[i]);
    }
    json_end_array(j);
}

void snapshot_write_service(const struct snapshot *snapshot, struct json_out *j)
{
    json_string(j, "version", snapshot->version);
    json_int(j, "pid", snapshot->pid);
    json_string(j, "app", snapshot->app);
    json_string(j, "state", snapshot_service_state(snapshot));
    json_bool(j, "paused", snapshot->paused);
    json_bool(j, "ready", !readiness_fault(snapshot->service));
    json_string(j, "not_ready_because", readiness_fault(snapshot->service));
    json_uint(j, "generation", snapshot->generation);
    json_int(j, "started_at", snapshot->started_at);
    json_number(j, "uptime", seconds(snapshot->uptime_ms), 3);
    write_interpreter(snapshot, j);
    write_binds(snapshot, j);
    json_uint(j, "workers_wanted", snapshot->workers_wanted);
    json_uint(j, "workers_ready", snapshot->workers_ready);
    json_uint(j, "workers_alive", snapshot->workers_alive);
    json_uint(j, "connections", snapshot->sums.connections);
    json_uint(j, "inflight", snapshot->sums.inflight);
    json_uint(j, "requests", snapshot->sums.requests);
    json_uint(j, "errors", score_status_class(&snapshot->sums, 5));
    write_latency(&snapshot->sums.latency, j);
    write_reload(snapshot, j);
}

static void write_held(const struct snapshot_worker *worker, struct json_out *j)
{
    json_array(j, "current");
    for (unsigned i = 0; i < worker->n_held; i++) {
        json_object(j, NULL);
        json_string(j, "request", worker->held[i].line);
        json_string(j, "client", *worker->held[i].client ? worker->held[i].client : NULL);
        json_number(j, "seconds", seconds(worker->held[i].for_ms), 3);
        json_end_object(j);
    }
    json_end_array(j);
}

void snapshot_write_workers(const struct snapshot *snapshot, bool latencies, struct json_out *j)
{
    json_array(j, "workers");
    for (size_t i = 0; i < snapshot->n_workers; i++) {
        const struct snapshot_worker *worker = &snapshot->workers[i];
        json_object(j, NULL);
        json_uint(j, "worker", worker->number);
        json_int(j, "pid", worker->pid);
        json_string(j, "state", snapshot_worker_state(worker));
        json_uint(j, "generation", worker->generation);
        json_bool(j, "serving", worker->current);
        json_bool(j, "recycle", worker->recycle);
        json_string(j, "interpreter", worker->main_interpreter ? "main" : "sub");
        json_number(j, "age", seconds(worker->age_ms), 3);
        json_number(j, "silent", seconds(worker->silent_ms), 3);
        json_uint(j, "connections", worker->connections);
        json_uint(j, "inflight", worker->inflight);
        json_uint(j, "threads", worker->threads);
        json_uint(j, "threads_busy", worker->threads_busy);
        json_uint(j, "threads_lost", worker->threads_lost);
        json_bool(j, "stalled", worker->stalled);
        json_uint(j, "accepted", worker->accepted);
        json_uint(j, "woken_in_vain", worker->woken_in_vain);
        json_uint(j, "requests", worker->requests);
        json_uint(j, "errors", worker->errors);
        write_latency(&worker->latency, j);
        if (latencies)
            write_buckets(&worker->latency, j);
        json_uint(j, "log_dropped", worker->log_dropped);
        json_uint(j, "memory", worker->memory_bytes);
        json_number(j, "cpu", seconds(worker->cpu_ms), 2);
        write_held(worker, j);
        json_end_object(j);
    }
    json_end_array(j);
}
