/* SPDX-License-Identifier: BSD-3-Clause */
/* status_page.c: Everything that a client or the configuration has written goes through put_text(). */
#include "master/metrics/status_page.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/scoreboard.h"
#include "master/metrics/history.h"
#include "master/service.h"
#include "master/metrics/readiness.h"
#include "master/metrics/snapshot.h"
#include "master/metrics/status_page_css.h"
#include "master/metrics/status_page_js.h"
#include "master/metrics/status_plot.h"

int status_page_nonce(char to[STATUS_PAGE_NONCE])
{
    unsigned char random[(STATUS_PAGE_NONCE - 1) / 2];
    if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        return -1;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(to + 2 * i, 3, "%02x", random[i]);
    return 0;
}

/* --- values --- */

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
            fprintf(out, "&#%u;", c);
        else if ((c < 0x20 && c != '\n') || c >= 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
}

static void put_count(FILE *out, double n)
{
    if (n >= 1e9)
        fprintf(out, "%.2f G", n / 1e9);
    else if (n >= 1e7)
        fprintf(out, "%.1f M", n / 1e6);
    else if (n >= 1e5)
        fprintf(out, "%.0f k", n / 1e3);
    else
        fprintf(out, n < 10 && n != (double)(int)n ? "%.1f" : "%.0f", n);
}

static void put_ms(FILE *out, double ms)
{
    if (ms >= 1000)
        fprintf(out, "%.3g s", ms / 1000);
    else if (ms < 1)
        fprintf(out, "%.0f &micro;s", ms * 1000);
    else
        fprintf(out, "%.3g ms", ms);
}

static void put_bytes(FILE *out, uint64_t n)
{
    if (n >= 10000u << 20)
        fprintf(out, "%.1f GB", (double)n / (1u << 30));
    else
        fprintf(out, "%.1f MB", (double)n / (1u << 20));
}

static void put_time(FILE *out, uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s < 100)
        fprintf(out, "%.1f s", (double)ms / 1000);
    else if (s < 6000)
        fprintf(out, "%" PRIu64 " min %02" PRIu64 " s", s / 60, s % 60);
    else if (s < 48ul * 3600)
        fprintf(out, "%" PRIu64 " h %02" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        fprintf(out, "%" PRIu64 " days %" PRIu64 " h", s / 86400, s / 3600 % 24);
}

/* --- head --- */

/* All of it: the last line of a traceback says most. */
static void write_failed_reload(FILE *out, const struct snapshot *snapshot)
{
    char when[40];
    struct tm tm;
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&snapshot->reload_at, &tm));
    fprintf(out, "<section class=\"failed\"><b>The reload of %s failed; generation %u goes on.</b>\n<pre>", when,
            snapshot->generation);
    put_text(out, snapshot->reload_error ? snapshot->reload_error : "out of memory");
    fputs("</pre></section>\n", out);
}

static void write_head(FILE *out, const struct snapshot *snapshot)
{
    const char *fault = readiness_fault(snapshot->service);
    bool failed = snapshot->reload == SNAPSHOT_RELOAD_FAILED;
    char host[HOST_NAME_MAX + 1] = "";
    gethostname(host, sizeof(host) - 1);
    fputs("<h1><svg viewBox=\"0 0 44 44\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"4\" "
          "stroke-linecap=\"round\" "
          "aria-hidden=\"true\"><path d=\"M10 5v12a12 12 0 0 0 24 0V5M22 5v34\"/></svg>Tine <span class=\"app\">",
          out);
    put_text(out, snapshot->app);
    fputs("</span><span class=\"host\">", out);
    put_text(out, host);
    fprintf(out, "</span><span class=\"badge%s\">%s%s</span></h1>\n<p>",
            fault    ? " no"
            : failed ? " warn"
                     : "",
            fault ? fault : snapshot_service_state(snapshot), failed ? "; the last reload failed" : "");
    fprintf(out, "Version %s, master %d, up for ", snapshot->version, (int)snapshot->pid);
    put_time(out, snapshot->uptime_ms);
    fprintf(out, "; generation %u; %u of %u workers ready; reloads: %u done, %u failed.</p>\n", snapshot->generation,
            snapshot->workers_ready, snapshot->workers_wanted, snapshot->reloads_done, snapshot->reloads_failed);
    if (failed)
        write_failed_reload(out, snapshot);
}

static void begin_tile(FILE *out)
{
    fputs("<div class=\"tile\"><b>", out);
}

static void end_tile(FILE *out, const char *name)
{
    fprintf(out, "</b><span>%s</span></div>\n", name);
}

static void count_tile(FILE *out, const char *name, double value)
{
    begin_tile(out);
    put_count(out, value);
    end_tile(out, name);
}

static void ms_tile(FILE *out, const char *name, uint32_t us)
{
    begin_tile(out);
    if (us)
        put_ms(out, us / 1e3);
    else
        fputs("&ndash;", out);
    end_tile(out, name);
}

static void write_tiles(FILE *out, const struct score_sums *sums, const struct history *history)
{
    static const struct history_sample none;
    const struct history_sample *last = history->n ? history_at(history, history->n - 1) : &none;
    fputs("<div class=\"tiles\">\n", out);
    count_tile(out, "requests/s", (double)last->requests);
    ms_tile(out, "median latency", last->p50_us);
    ms_tile(out, "99 % are faster", last->p99_us);
    count_tile(out, "errors (5xx)/s", (double)last->errors);
    count_tile(out, "in flight", (double)sums->inflight);
    count_tile(out, "connections", (double)sums->connections);
    count_tile(out, "WebSockets", (double)sums->websockets);
    count_tile(out, "requests so far", (double)sums->requests);
    fputs("</div>\n", out);
}

/* --- plots --- */

static double requests_of(const struct history_sample *s)
{
    return (double)s->requests;
}

static double errors_of(const struct history_sample *s)
{
    return (double)s->errors;
}

static double p50_of(const struct history_sample *s)
{
    return s->p50_us / 1e3;
}

static double p99_of(const struct history_sample *s)
{
    return s->p99_us / 1e3;
}

static double ready_of(const struct history_sample *s)
{
    return s->ready;
}

static double inflight_of(const struct history_sample *s)
{
    return s->inflight;
}

static void write_plots(FILE *out, const struct history *history)
{
    static const struct status_line rate[] = { { "all", "a", requests_of }, { "errors (5xx)", "c", errors_of } };
    static const struct status_line latency[] = { { "median", "a", p50_of }, { "99 %", "b", p99_of } };
    static const struct status_line workers[] = { { "workers ready", "a", ready_of },
                                                  { "requests in flight", "b", inflight_of } };
    fputs("<div class=\"plots\">\n", out);
    status_plot_write(out, history, "Requests/s", rate, 2, 1, put_count);
    status_plot_write(out, history, "Latency", latency, 2, 0.1, put_ms);
    status_plot_write(out, history, "Workers", workers, 2, 1, put_count);
    fputs("</div>\n", out);
}

/* --- workers --- */

/* A square each: hundreds of them are seen at a glance. */
static void write_map(FILE *out, const struct snapshot *snapshot)
{
    fputs(
        "<div class=\"legend\"><span><i class=\"ready\"></i>idle</span><span><i class=\"busy\"></i>has requests</span>"
        "<span><i class=\"starting\"></i>starting or draining</span><span><i class=\"hung\"></i>silent, stuck, hung or "
        "killed</span>"
        "<span><i class=\"waiting\"></i>waits to be started</span></div>\n<div class=\"map\">",
        out);
    for (size_t i = 0; i < snapshot->n_workers; i++) {
        const struct snapshot_worker *worker = &snapshot->workers[i];
        const char *state = snapshot_worker_state(worker);
        bool busy = worker->inflight && strcmp(state, "ready") == 0;
        fprintf(out, "<i class=\"%s\" title=\"worker %u: %s, %u in flight\"></i>", busy ? "busy" : state,
                worker->number, state, worker->inflight);
    }
    fputs("</div>\n", out);
}

static void write_longest(FILE *out, const struct snapshot_worker *worker)
{
    fputs("<td class=\"l request\">", out);
    if (worker->n_held) {
        put_time(out, worker->held[0].for_ms);
        fputs(" &nbsp;", out);
        put_text(out, worker->held[0].line);
        if (*worker->held[0].client) {
            fputs(" &nbsp;from ", out);
            put_text(out, worker->held[0].client);
        }
    }
    fputs("</td></tr>\n", out);
}

/* Of this worker's life. */
static void put_quantile(FILE *out, const struct histogram_sum *latency, double share)
{
    if (histogram_total(latency))
        put_ms(out, (double)histogram_quantile(latency, share) / 1e6);
    else
        fputs("&ndash;", out);
}

static void write_worker(FILE *out, const struct snapshot_worker *worker)
{
    const char *state = snapshot_worker_state(worker);
    fprintf(out, "<tr><td>%u</td><td>%d</td><td class=\"l %s\">%s", worker->number, (int)worker->pid, state, state);
    if (strcmp(state, "silent") == 0 || strcmp(state, "hung") == 0) {
        fputs(" for ", out);
        put_time(out, worker->silent_ms);
    }
    fprintf(out, "</td><td class=\"o\">%u</td><td class=\"o\">", worker->generation);
    put_time(out, worker->age_ms);
    fprintf(out, "</td><td class=\"o\">%u</td><td>%u</td><td class=\"o\">%" PRIu64 "</td><td class=\"o\">",
            worker->connections, worker->inflight, worker->requests);
    put_quantile(out, &worker->latency, 0.5);
    fputs("</td><td>", out);
    put_quantile(out, &worker->latency, 0.99);
    fputs("</td><td>", out);
    put_time(out, worker->cpu_ms);
    fputs("</td><td>", out);
    put_bytes(out, worker->memory_bytes);
    fputs("</td>", out);
    write_longest(out, worker);
}

static void write_workers(FILE *out, const struct snapshot *snapshot)
{
    fputs("<h2>Workers</h2>\n", out);
    write_map(out, snapshot);
    fputs("<div class=\"box\"><table>\n<thead><tr><th>No.</th><th>Process</th><th "
          "class=\"l\">State</th><th class=\"o\">Generation</th>"
          "<th class=\"o\">Age</th><th class=\"o\">Connections</th><th>In flight</th><th class=\"o\">Requests</th>"
          "<th class=\"o\">Median</th><th>99 %</th><th>CPU</th><th>Memory</th>"
          "<th class=\"l\">Longest request</th></tr></thead>\n<tbody>\n",
          out);
    for (size_t i = 0; i < snapshot->n_workers; i++)
        write_worker(out, &snapshot->workers[i]);
    fputs("</tbody></table></div>\n", out);
}

/* --- places that were slow --- */

static void write_routes(FILE *out, const struct score_sums *sums)
{
    if (!sums->n_routes)
        return;
    fputs("<h2>Slow places</h2>\n<div class=\"box\"><table>\n<thead><tr><th class=\"l\">Route</th>"
          "<th>Steps that blocked the loop</th><th>for</th><th>Slow requests</th></tr></thead>\n<tbody>\n",
          out);
    for (unsigned i = 0; i < sums->n_routes; i++) {
        const struct score_route_sum *route = &sums->route[i];
        fputs("<tr><td class=\"l request\">", out);
        put_text(out, route->name);
        fprintf(out, "</td><td>%" PRIu64 "</td><td>", route->blocked);
        put_time(out, route->blocked_ns / 1000000);
        fprintf(out, "</td><td>%" PRIu64 "</td></tr>\n", route->slow);
    }
    fputs("</tbody></table></div>\n", out);
}

static void write_part(FILE *out, const struct snapshot *snapshot, const struct history *history)
{
    write_head(out, snapshot);
    write_tiles(out, &snapshot->sums, history);
    write_plots(out, history);
    write_workers(out, snapshot);
    write_routes(out, &snapshot->sums);
}

void status_page_write(FILE *out, const struct snapshot *snapshot, const struct history *history, const char *nonce)
{
    char host[HOST_NAME_MAX + 1] = "";
    if (!nonce) {
        write_part(out, snapshot, history);
        return;
    }
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n<title>",
          out);
    put_text(out, snapshot->app);
    if (gethostname(host, sizeof(host) - 1) == 0) {
        fputs(" on ", out);
        put_text(out, host);
    }
    fprintf(out, " - Tine status</title>\n<style nonce=\"%s\">\n%s</style></head>\n<body><main id=\"main\">\n", nonce,
            status_page_css);
    write_part(out, snapshot, history);
    fprintf(out, "</main>\n<script nonce=\"%s\">\n%s</script></body></html>\n", nonce, status_page_js);
}
