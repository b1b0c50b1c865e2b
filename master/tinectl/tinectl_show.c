/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_show.c: status, workers and stacks as lines; words and tables are in tinectl_table.c. */
#include "master/tinectl/tinectl_show.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- text --- */

void show_text(const struct show *show, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        size_t length = show_harmless(text + i, n - i);
        if (length || text[i] == '\n' || text[i] == '\t')
            fwrite(text + i, 1, length ? length : 1, show->out);
        else
            putc('?', show->out);
        i += length ? length : 1;
    }
    if (!n || text[n - 1] != '\n')
        putc('\n', show->out);
}

enum show_colour show_state_colour(const char *state)
{
    static const char *const good[] = { "ready", "running", "done" };
    static const char *const bad[] = { "hung", "silent", "stuck", "killed", "failed" };
    static const char *const plain[] = { "none", "stopping", "draining" };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        if (strcmp(state, good[i]) == 0)
            return SHOW_GOOD;
        if (strcmp(state, bad[i]) == 0)
            return SHOW_BAD;
        if (strcmp(state, plain[i]) == 0)
            return SHOW_PLAIN;
    }
    return SHOW_CARE;
}

static void put_coloured(const struct show *show, enum show_colour colour, const char *text)
{
    fprintf(show->out, "%s%s%s", show_colour(show, colour), text, show_colour(show, SHOW_PLAIN));
}

static void put_name(const struct show *show, const char *name)
{
    fprintf(show->out, "%s%-12s%s ", show_colour(show, SHOW_TITLE), name, show_colour(show, SHOW_PLAIN));
}

/* --- status --- */

static void put_binds(const struct show *show, const struct json *binds)
{
    static const char *const flags[] = { "tls", "h2c", "proxy" };
    put_name(show, "listening");
    if (!json_count(binds))
        fputs("nowhere", show->out);
    for (const struct json *bind = binds ? binds->first : NULL; bind; bind = bind->next) {
        fputs(json_get_text(bind, "address", "?"), show->out);
        for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
            if (json_get_bool(bind, flags[i]))
                fprintf(show->out, " %s", flags[i]);
        if (bind->next)
            fputs(", ", show->out);
    }
    putc('\n', show->out);
}

static void put_interpreter(const struct show *show, const struct json *answer)
{
    const char *python = json_get_text(answer, "python", NULL);
    if (python) {
        put_name(show, "Python");
        show_text(show, python);
    }
    put_name(show, "interpreter");
    fprintf(show->out, "%s: ", json_get_text(answer, "interpreter", "?"));
    show_text(show, json_get_text(answer, "interpreter_because", "?"));
    put_name(show, "event loop");
    show_text(show, json_get_text(answer, "loop", "?"));
}

static void put_time(const struct show *show, double at)
{
    char text[64];
    time_t when = (time_t)at;
    struct tm tm;
    if (localtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
        fputs(text, show->out);
}

static void put_reload(const struct show *show, const struct json *reload)
{
    const char *last = json_get_text(reload, "last", "none");
    const char *error = json_get_text(reload, "error", NULL);
    put_name(show, "reloads");
    fprintf(show->out, "%.0f done, %.0f failed", json_get_number(reload, "done"), json_get_number(reload, "failed"));
    if (strcmp(last, "none") != 0) {
        fputs("; the last one ", show->out);
        put_coloured(show, show_state_colour(last), last);
        fputs(" at ", show->out);
        put_time(show, json_get_number(reload, "last_at"));
    }
    putc('\n', show->out);
    if (error)
        show_text(show, error);
}

void show_status(const struct show *show, const struct json *answer)
{
    char uptime[SHOW_WORD];
    const char *state = json_get_text(answer, "state", "?");
    double wanted = json_get_number(answer, "workers_wanted");
    double ready = json_get_number(answer, "workers_ready");
    double alive = json_get_number(answer, "workers_alive");
    show_duration(uptime, json_get_number(answer, "uptime"));
    put_name(show, "tine");
    fprintf(show->out, "%s, pid %.0f, ", json_get_text(answer, "version", "?"), json_get_number(answer, "pid"));
    put_coloured(show, show_state_colour(state), state);
    fprintf(show->out, ", up %s, generation %.0f\n", uptime, json_get_number(answer, "generation"));
    put_name(show, "application");
    show_text(show, json_get_text(answer, "app", "?"));
    put_interpreter(show, answer);
    put_binds(show, json_get(answer, "binds"));
    put_name(show, "workers");
    fputs(show_colour(show, ready < wanted ? SHOW_CARE : SHOW_GOOD), show->out);
    fprintf(show->out, "%.0f of %.0f ready%s", ready, wanted, show_colour(show, SHOW_PLAIN));
    if (alive > ready)
        fprintf(show->out, ", %.0f processes", alive);
    fputs(json_get_bool(answer, "paused") ? ", paused until tinectl resume or a reload\n" : "\n", show->out);
    put_name(show, "requests");
    fprintf(show->out, "%.0f answered, %.0f with 5xx, %.0f in flight\n", json_get_number(answer, "requests"),
            json_get_number(answer, "errors"), json_get_number(answer, "inflight"));
    put_name(show, "connections");
    fprintf(show->out, "%.0f open\n", json_get_number(answer, "connections"));
    put_reload(show, json_get(answer, "reload"));
}

/* --- workers --- */

/* "2/4", "2/4, 1 stuck"; "-": the worker has none. */
static void add_threads(struct show_table *table, const struct json *worker)
{
    double size = json_get_number(worker, "threads"), busy = json_get_number(worker, "threads_busy");
    double stuck = json_get_number(worker, "threads_lost");
    if (stuck > 0)
        show_table_cell(table, SHOW_BAD, "%.0f/%.0f, %.0f stuck", busy, size, stuck);
    else if (size > 0)
        show_table_cell(table, SHOW_PLAIN, "%.0f/%.0f", busy, size);
    else
        show_table_cell(table, SHOW_PLAIN, "-");
}

static void add_worker(struct show_table *table, const struct json *worker)
{
    char age[SHOW_WORD], p50[SHOW_WORD], p99[SHOW_WORD], cpu[SHOW_WORD], memory[SHOW_WORD];
    const char *state = json_get_text(worker, "state", "?");
    show_duration(age, json_get_number(worker, "age"));
    show_latency(p50, json_get_number(worker, "p50_ms"));
    show_latency(p99, json_get_number(worker, "p99_ms"));
    show_duration(cpu, json_get_number(worker, "cpu"));
    show_bytes(memory, json_get_number(worker, "memory"));
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "worker"));
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "pid"));
    show_table_cell(table, show_state_colour(state), "%s%s", state, json_get_bool(worker, "recycle") ? "*" : "");
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "generation"));
    show_table_cell(table, SHOW_PLAIN, "%s", age);
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "connections"));
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "inflight"));
    add_threads(table, worker);
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "requests"));
    show_table_cell(table, json_get_number(worker, "errors") > 0 ? SHOW_BAD : SHOW_PLAIN, "%.0f",
                    json_get_number(worker, "errors"));
    show_table_cell(table, SHOW_PLAIN, "%s", p50);
    show_table_cell(table, SHOW_PLAIN, "%s", p99);
    show_table_cell(table, SHOW_PLAIN, "%s", cpu);
    show_table_cell(table, SHOW_PLAIN, "%s", memory);
}

void show_workers(const struct show *show, const struct json *answer)
{
    static const struct show_column columns[] = {
        { "WORKER", true }, { "PID", true },  { "STATE", false },  { "GEN", true },      { "AGE", true },
        { "CONN", true },   { "BUSY", true }, { "THREADS", true }, { "REQUESTS", true }, { "5XX", true },
        { "P50", true },    { "P99", true },  { "CPU", true },     { "MEMORY", true },
    };
    const struct json *workers = json_get(answer, "workers");
    struct show_table *table = show_table_new(columns, sizeof(columns) / sizeof(*columns));
    for (const struct json *w = workers ? workers->first : NULL; w; w = w->next)
        add_worker(table, w);
    show_table_print(show, table, 0);
    show_table_free(table);
}

/* --- stacks --- */

void show_stacks(const struct show *show, const struct json *stacks, const char *none)
{
    for (const struct json *one = stacks ? stacks->first : NULL; one; one = one->next) {
        const char *text = json_get_text(one, "text", NULL);
        fputs(show_colour(show, SHOW_TITLE), show->out);
        fprintf(show->out, "worker %.0f (pid %.0f)%s\n", json_get_number(one, "worker"), json_get_number(one, "pid"),
                show_colour(show, SHOW_PLAIN));
        show_text(show, text ? text : none);
        if (one->next)
            putc('\n', show->out);
    }
}
