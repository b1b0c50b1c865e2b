/* SPDX-License-Identifier: BSD-3-Clause */
/* status_json.c: the page /status. The names of figures are those of their fields in score_figures.def. What tinectl's
 * `status` gets is made by control/control_commands.c. */
#include "master/metrics/status_json.h"

#include "common/json_out.h"
#include "common/scoreboard.h"
#include "master/metrics/history.h"
#include "master/service.h"
#include "master/metrics/snapshot.h"

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void write_totals(struct json_out *j, const struct score_sums *sums)
{
    json_object(j, "totals");
#define SCORE_COUNTER(field, family, labels, unit, help) json_uint(j, #field, sums->field);
#define SCORE_GAUGE(field, family, labels, help) json_uint(j, #field, sums->field);
#include "common/score_figures.def"
    json_end_object(j);
}

static void write_responses(struct json_out *j, const struct score_sums *sums)
{
    char code[8];
    json_object(j, "responses");
    for (unsigned i = 0; i < SCORE_STATUSES - 1; i++) {
        if (!sums->status[i])
            continue;
        snprintf(code, sizeof(code), "%u", i + 100);
        json_uint(j, code, sums->status[i]);
    }
    json_end_object(j);
}

static void write_latency(struct json_out *j, const struct histogram_sum *latency)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 } };
    uint64_t n = histogram_total(latency);
    json_object(j, "latency");
    json_uint(j, "count", n);
    json_number(j, "mean", n ? seconds(latency->sum_ns) / (double)n : 0, 6);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++)
        json_number(j, quantiles[i].name, seconds(histogram_quantile(latency, quantiles[i].share)), 6);
    json_end_object(j);
}

static void write_routes(struct json_out *j, const struct score_sums *sums)
{
    json_array(j, "routes");
    for (unsigned i = 0; i < sums->n_routes; i++) {
        json_object(j, NULL);
        json_string(j, "route", sums->route[i].name);
        json_uint(j, "blocking_steps", sums->route[i].blocked);
        json_number(j, "blocking_seconds", seconds(sums->route[i].blocked_ns), 3);
        json_uint(j, "slow_requests", sums->route[i].slow);
        json_end_object(j);
    }
    json_end_array(j);
}

/* A sample a second, the oldest first. */
static void write_history(struct json_out *j, const struct history *history)
{
    json_array(j, "history");
    for (unsigned i = 0; i < history->n; i++) {
        const struct history_sample *s = history_at(history, i);
        json_object(j, NULL);
        json_number(j, "requests", s->requests, 1);
        json_number(j, "errors", s->errors, 1);
        json_number(j, "p50", s->p50_us / 1e6, 6);
        json_number(j, "p99", s->p99_us / 1e6, 6);
        json_uint(j, "inflight", s->inflight);
        json_uint(j, "connections", s->connections);
        json_uint(j, "workers_ready", s->ready);
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_counters(struct json_out *j, const struct counters *counters)
{
    json_object(j, "worker_events");
    json_uint(j, "started", counters->started);
    json_uint(j, "boot_failures", counters->boot_failures);
    json_uint(j, "crashed", counters->crashed);
    json_uint(j, "early", counters->early);
    json_uint(j, "hung", counters->hung);
    json_uint(j, "recycled", counters->recycled);
    json_uint(j, "held_back", counters->held_back);
    json_end_object(j);
}

int status_json_write(FILE *out, const struct snapshot *snapshot, const struct history *history)
{
    struct buf text = { 0 };
    struct json_out j;
    json_begin_document(&j, &text);
    json_object(&j, NULL);
    snapshot_write_service(snapshot, &j);
    write_counters(&j, &snapshot->service->fleet.counters);
    write_totals(&j, &snapshot->sums);
    write_responses(&j, &snapshot->sums);
    write_latency(&j, &snapshot->sums.latency);
    write_routes(&j, &snapshot->sums);
    write_history(&j, history);
    snapshot_write_workers(snapshot, false, &j);
    json_end_object(&j);
    int rc = json_end_document(&j);
    if (rc == 0)
        fwrite(text.p + text.start, 1, buf_len(&text), out);
    buf_release(&text);
    putc('\n', out);
    return rc;
}
