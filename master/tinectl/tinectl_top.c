/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_top.c: rates and quantiles are those between two looks. Leaves the
 * terminal as it was, whatever ends it. */
#include "master/tinectl/tinectl_top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/histogram.h"
#include "master/tinectl/tinectl_talk.h"

#define EVERY_MS 1000
#define ANSWER_S 10
#define LONG_S 1.0 /* a request that lasts longer is shown */
#define HEAD_LINES 4

struct look {
    struct json *answer;
    uint64_t at_ns;
};

struct top {
    struct show show;
    int fd, signals;
    unsigned rows, columns; /* of the terminal; 0: unknown */
    bool raw;
    struct termios before;
    struct look last, now;
    char *why; /* the server does not answer */
};

/* --- looking --- */

/* 0, or -1: top->why. */
static int take_look(struct top *top)
{
    size_t n = 0;
    const char *why = "the answer is not what was expected";
    char *line = talk_ask(top->fd, "top", ANSWER_S, &n, &why);
    struct json *answer = line ? json_parse(line, n) : NULL;
    free(line);
    if (!json_get_bool(answer, "ok")) {
        top->why = strdup(json_get_text(answer, "error", why));
        json_free(answer);
        return -1;
    }
    json_free(top->last.answer);
    top->last = top->now;
    top->now = (struct look){ answer, clock_ns() };
    return 0;
}

static const struct json *worker_before(const struct top *top, double pid)
{
    const struct json *workers = json_get(top->last.answer, "workers");
    for (const struct json *w = workers ? workers->first : NULL; w; w = w->next)
        if (json_get_number(w, "pid") == pid)
            return w;
    return NULL;
}

static double seconds_between(const struct top *top)
{
    return top->last.answer ? (double)(top->now.at_ns - top->last.at_ns) / 1e9 : 0;
}

/* How much the figure has grown in a second; what is new began at 0. */
static double rate(const struct top *top, const struct json *before, const struct json *now, const char *key)
{
    double seconds = seconds_between(top);
    double grown = json_get_number(now, key) - json_get_number(before, key);
    return seconds > 0 && grown > 0 ? grown / seconds : 0;
}

/* Adds to, or takes from, what the worker's latencies were: pairs of a bucket and its count. */
static void add_latencies(struct histogram_sum *to, const struct json *worker, bool take)
{
    const struct json *pairs = json_get(worker, "latency");
    const struct json *at = pairs ? pairs->first : NULL;
    for (; at && at->next; at = at->next->next) {
        if (!(at->number >= 0 && at->number < HISTOGRAM_BUCKETS && at->next->number >= 0 && at->next->number < 1e18))
            continue;
        uint64_t count = (uint64_t)at->next->number, *bucket = &to->count[(size_t)at->number];
        *bucket = !take ? *bucket + count : *bucket > count ? *bucket - count : 0;
    }
}

/* --- drawing --- */

static void add_current(struct show_table *table, const struct json *worker)
{
    char took[SHOW_WORD];
    const struct json *current = json_get(worker, "current");
    const struct json *longest = current ? current->first : NULL;
    double seconds = json_get_number(longest, "seconds");
    show_duration(took, seconds);
    if (longest && seconds >= LONG_S)
        show_table_cell(table, SHOW_CARE, "%s %s", took, json_get_text(longest, "request", "?"));
    else
        show_table_cell(table, SHOW_PLAIN, "%s", "");
}

static void add_worker(const struct top *top, struct show_table *table, const struct json *worker,
                       struct histogram_sum *all)
{
    char age[SHOW_WORD], p50[SHOW_WORD], p99[SHOW_WORD], memory[SHOW_WORD];
    const struct json *before = worker_before(top, json_get_number(worker, "pid"));
    const char *state = json_get_text(worker, "state", "?");
    struct histogram_sum recent = { 0 };
    add_latencies(&recent, worker, false);
    add_latencies(&recent, before, true);
    histogram_merge(all, &recent);
    show_duration(age, json_get_number(worker, "age"));
    show_latency(p50, (double)histogram_quantile(&recent, 0.5) / 1e6);
    show_latency(p99, (double)histogram_quantile(&recent, 0.99) / 1e6);
    show_bytes(memory, json_get_number(worker, "memory"));
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "worker"));
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "pid"));
    show_table_cell(table, show_state_colour(state), "%s%s", state, json_get_bool(worker, "recycle") ? "*" : "");
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "generation"));
    show_table_cell(table, SHOW_PLAIN, "%s", age);
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "connections"));
    show_table_cell(table, SHOW_PLAIN, "%.0f", json_get_number(worker, "inflight"));
    show_table_cell(table, SHOW_PLAIN, "%.0f", rate(top, before, worker, "requests"));
    show_table_cell(table, SHOW_PLAIN, "%s", p50);
    show_table_cell(table, SHOW_PLAIN, "%s", p99);
    show_table_cell(table, SHOW_PLAIN, "%.0f%%", 100 * rate(top, before, worker, "cpu"));
    show_table_cell(table, SHOW_PLAIN, "%s", memory);
    add_current(table, worker);
}

static void put_head(const struct top *top, const struct histogram_sum *recent)
{
    const struct json *a = top->now.answer;
    const struct show *show = &top->show;
    char up[SHOW_WORD], p50[SHOW_WORD], p99[SHOW_WORD];
    const char *state = json_get_text(a, "state", "?");
    show_duration(up, json_get_number(a, "uptime"));
    show_latency(p50, (double)histogram_quantile(recent, 0.5) / 1e6);
    show_latency(p99, (double)histogram_quantile(recent, 0.99) / 1e6);
    fprintf(show->out, "tine %s  pid %.0f  up %s  %s%s%s  generation %.0f\n", json_get_text(a, "version", "?"),
            json_get_number(a, "pid"), up, show_colour(show, show_state_colour(state)), state,
            show_colour(show, SHOW_PLAIN), json_get_number(a, "generation"));
    fprintf(show->out, "workers %.0f of %.0f ready  connections %.0f  in flight %.0f\n",
            json_get_number(a, "workers_ready"), json_get_number(a, "workers_wanted"),
            json_get_number(a, "connections"), json_get_number(a, "inflight"));
    fprintf(show->out, "requests/s %.0f  5xx/s %.0f  p50 %s  p99 %s\n\n", rate(top, top->last.answer, a, "requests"),
            rate(top, top->last.answer, a, "errors"), p50, p99);
}

static void draw(const struct top *top)
{
    static const struct show_column columns[] = {
        { "WORKER", true }, { "PID", true },    { "STATE", false },   { "GEN", true }, { "AGE", true },
        { "CONN", true },   { "BUSY", true },   { "REQ/S", true },    { "P50", true }, { "P99", true },
        { "CPU", true },    { "MEMORY", true }, { "CURRENT", false },
    };
    struct histogram_sum recent = { 0 };
    const struct json *workers = json_get(top->now.answer, "workers");
    struct show_table *table = show_table_new(columns, sizeof(columns) / sizeof(*columns));
    for (const struct json *w = workers ? workers->first : NULL; w; w = w->next)
        add_worker(top, table, w, &recent);
    put_head(top, &recent);
    unsigned taken = HEAD_LINES + 1; /* with the titles */
    show_table_print(&top->show, table, top->rows > taken ? top->rows - taken : 0);
    show_table_free(table);
}

/* As much of a line as the terminal has columns for; colours take none. */
static void put_line(const struct top *top, FILE *out, const char *p)
{
    unsigned left = top->columns ? top->columns : UINT32_MAX;
    bool cut = false;
    while (*p) {
        bool colour = *p == '\033';
        size_t n = colour ? strcspn(p, "m") + 1 : 1;
        if (!colour && ((unsigned char)*p & 0xc0) != 0x80) {
            cut = !left;
            left -= !cut;
        }
        if (colour || !cut)
            fwrite(p, 1, n, out);
        p += n;
    }
}

/* The whole screen in one write: it does not flicker. */
static void redraw(struct top *top)
{
    static const char end_of_line[] = "\033[K\n";
    char *text = NULL, *rest;
    size_t n = 0;
    FILE *out = top->show.out, *page = open_memstream(&text, &n);
    if (!page)
        return;
    top->show.out = page;
    draw(top);
    top->show.out = out;
    if (fclose(page) == 0) {
        unsigned row = 0;
        rest = text;
        fputs("\033[H", out);
        for (char *line; (line = strsep(&rest, "\n")) && (rest || *line); row++) {
            fputs(row ? end_of_line : "", out);
            put_line(top, out, line);
        }
        fputs("\033[K\033[J", out);
        fflush(out);
    }
    free(text);
}

/* --- the terminal --- */

static void measure(struct top *top)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
        return;
    top->columns = size.ws_col;
    top->rows = size.ws_row;
}

static int open_screen(struct top *top)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGWINCH);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || (top->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0) {
        fprintf(stderr, "tinectl: signals: %s\n", strerror(errno));
        return -1;
    }
    if (tcgetattr(STDIN_FILENO, &top->before) == 0) {
        struct termios raw = top->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        top->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    fputs("\033[?1049h\033[?25l\033[2J", top->show.out);
    return 0;
}

static void close_screen(struct top *top)
{
    fputs("\033[?25h\033[?1049l", top->show.out);
    fflush(top->show.out);
    if (top->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &top->before);
    fd_close(&top->signals);
}

/* Whether somebody wants it to end. */
static bool ends_by_signal(struct top *top)
{
    struct signalfd_siginfo info;
    if (read(top->signals, &info, sizeof(info)) != sizeof(info))
        return false;
    if (info.ssi_signo != SIGWINCH)
        return true;
    measure(top);
    redraw(top);
    return false;
}

static bool ends_by_key(struct pollfd *input)
{
    char keys[64];
    ssize_t n = read(input->fd, keys, sizeof(keys));
    if (n <= 0)
        input->fd = -1;
    for (ssize_t i = 0; i < n; i++)
        if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == 3)
            return true;
    return false;
}

/* Until the next look is due; true: it is to end. */
static bool pause_or_end(struct top *top, struct pollfd fds[2])
{
    uint64_t end = clock_ms() + EVERY_MS;
    for (uint64_t now; (now = clock_ms()) < end;) {
        fds[0].revents = fds[1].revents = 0;
        if (poll(fds, 2, (int)(end - now)) <= 0)
            continue;
        if (fds[1].revents && ends_by_signal(top))
            return true;
        if (fds[0].revents && ends_by_key(&fds[0]))
            return true;
    }
    return false;
}

static int run_live(struct top *top)
{
    int rc;
    if (open_screen(top) < 0)
        return -1;
    measure(top);
    struct pollfd fds[2] = { { .fd = top->raw ? STDIN_FILENO : -1, .events = POLLIN },
                             { .fd = top->signals, .events = POLLIN } };
    do {
        redraw(top);
        if (pause_or_end(top, fds)) {
            close_screen(top);
            return 0;
        }
        rc = take_look(top);
    } while (rc == 0);
    close_screen(top);
    return rc;
}

static int run_once(struct top *top)
{
    poll(NULL, 0, EVERY_MS);
    if (take_look(top) < 0)
        return -1;
    draw(top);
    return 0;
}

int top_run(const struct show *show, int fd)
{
    struct top top = { .show = *show, .fd = fd, .signals = -1 };
    int rc = take_look(&top);
    if (rc == 0)
        rc = isatty(STDOUT_FILENO) ? run_live(&top) : run_once(&top);
    if (top.why)
        fprintf(stderr, "tinectl: %s\n", top.why);
    free(top.why);
    json_free(top.last.answer);
    json_free(top.now.answer);
    return rc;
}
