/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl.c: asks a running master over its control socket, and shows what it says. A program of
 * its own, without Python: it must work when nothing else does. */
#include <config.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/plural.h"
#include "common/suggest.h"
#include "master/control/control_parse.h"
#include "master/tinectl/tinectl_json.h"
#include "master/tinectl/tinectl_show.h"
#include "master/tinectl/tinectl_talk.h"
#include "master/tinectl/tinectl_top.h"

enum tinectl_exit {
    TINECTL_OK = 0,
    TINECTL_FAILED = 1, /* the server says no; also a wrong command line */
    TINECTL_SILENT = 2, /* no server, or no answer */
};

#define ANSWER_S 30

static const char help[] = "Usage: tinectl [-s SOCKET | -c FILE] [-j] COMMAND\n"
                           "\n"
                           "Talks to a running tine over its control socket.\n"
                           "\n"
                           "  status          how the service is\n"
                           "  workers         a line for each worker\n"
                           "  top             the same, live; q ends it\n"
                           "  reload          reload configuration and code, and wait for the outcome\n"
                           "  scale N         make it N workers\n"
                           "  restart N       replace worker N, its successor first\n"
                           "  pause           end the workers and keep the sockets; connections wait\n"
                           "  resume          start workers again\n"
                           "  stop [quick]    stop gracefully, or at once, and wait for the end\n"
                           "  reopen          open log files again\n"
                           "  stacks [PID]    Python stacks of all workers, or of one\n"
                           "  tasks [PID]     asyncio tasks of all workers, or of one, and what they wait for\n"
                           "  loglevel LEVEL  log from debug, info, warning, error or critical on, until a reload\n"
                           "  config          the configuration in effect\n"
                           "  metrics         every figure, as /metrics has it\n"
                           "\n"
                           "  -s SOCKET       the socket; else TINE_CONTROL, [control] socket in ./tine.ini,\n"
                           "                  /run/tine/control.sock\n"
                           "  -c FILE         take the socket from this configuration file\n"
                           "  -p PID          reload: if no socket is configured, send SIGHUP to this process\n"
                           "  -j              print the answer as JSON\n"
                           "  --help, --version\n"
                           "\n"
                           "Exit status: 0 done, 1 the server refused or failed, 2 no server answers.\n";

struct options {
    const char *socket, *file;
    pid_t master; /* 0: not named */
    bool json;
    char line[CONTROL_LINE_MAX + 1];
    struct control_request request;
};

/* --- the command line --- */

static int print_and_end(const char *text)
{
    fputs(text, stdout);
    return fflush(stdout) == 0 ? TINECTL_OK : TINECTL_FAILED;
}

static const char *const commands[CONTROL_N_COMMANDS] = {
#define CONTROL_COMMAND(name, word, argument, optional) [CONTROL_##name] = (word),
#include "master/control/control_commands.def"
};

/* The words as one line of the protocol. 0, or -1 told. */
static int read_command(struct options *options, char **words, int n)
{
    const char *why = n < 1 ? "a command is missing" : n > 2 ? "there are too many words" : NULL;
    if (!why) {
        int length =
            snprintf(options->line, sizeof(options->line), "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
        why = length < (int)sizeof(options->line)
                  ? control_parse(options->line, strlen(options->line), &options->request)
                  : "the line is too long";
    }
    if (!why)
        return 0;
    const char *near = n > 0 ? suggest_nearest(words[0], commands, CONTROL_N_COMMANDS) : NULL;
    if (near && strcmp(words[0], near) != 0 && suggest_is_near(words[0], near))
        fprintf(stderr, "tinectl: %s: %s; did you mean \"%s\"?\n", words[0], why, near);
    else
        fprintf(stderr, "tinectl: %s%s%s\nTry tinectl --help.\n", n > 0 ? words[0] : "", n > 0 ? ": " : "", why);
    return -1;
}

/* 0: it is none. */
static pid_t read_pid(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    return *text && !*end && n > 0 && n <= INT_MAX ? (pid_t)n : 0;
}

/* -1: go on; else the exit status. */
static int read_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = { { "help", no_argument, NULL, 'h' },
                                           { "version", no_argument, NULL, 'V' },
                                           { "socket", required_argument, NULL, 's' },
                                           { "config", required_argument, NULL, 'c' },
                                           { "json", no_argument, NULL, 'j' },
                                           { "pid", required_argument, NULL, 'p' },
                                           { 0 } };
    for (int c; (c = getopt_long(argc, argv, "s:c:p:jh", names, NULL)) != -1;) {
        switch (c) {
        case 's':
            options->socket = optarg;
            break;
        case 'c':
            options->file = optarg;
            break;
        case 'j':
            options->json = true;
            break;
        case 'p':
            if ((options->master = read_pid(optarg)) > 0)
                break;
            fprintf(stderr, "tinectl: -p %s: expected the number of a process\n", optarg);
            return TINECTL_FAILED;
        case 'h':
            return print_and_end(help);
        case 'V':
            return print_and_end("tinectl " PACKAGE_VERSION "\n");
        default:
            fputs("Try tinectl --help.\n", stderr);
            return TINECTL_FAILED;
        }
    }
    return read_command(options, argv + optind, argc - optind) < 0 ? TINECTL_FAILED : -1;
}

/* --- answers --- */

/* What a reload could not change. */
static void show_kept(const struct show *show, const struct json *keys)
{
    for (const struct json *key = keys ? keys->first : NULL; key; key = key->next)
        fprintf(show->out, "%s%s%s", key == keys->first ? "a restart is needed for " : ", ",
                key->kind == JSON_STRING ? key->text : "?", key->next ? "" : "\n");
}

static void show_done(const struct show *show, const struct options *options, const struct json *answer)
{
    switch (options->request.command) {
    case CONTROL_RELOAD:
        fprintf(show->out, "reloaded: generation %.0f serves with %.0f worker%s\n",
                json_get_number(answer, "generation"), json_get_number(answer, "workers"),
                plural((unsigned long long)json_get_number(answer, "workers")));
        show_kept(show, json_get(answer, "restart"));
        break;
    case CONTROL_SCALE:
        fprintf(show->out, "workers: %.0f, before: %.0f\n", json_get_number(answer, "workers"),
                json_get_number(answer, "before"));
        break;
    case CONTROL_STOP:
        fputs("stopped\n", show->out);
        break;
    case CONTROL_RESTART:
        fprintf(show->out, "worker %.0f (pid %.0f) is being replaced\n", json_get_number(answer, "worker"),
                json_get_number(answer, "pid"));
        break;
    case CONTROL_PAUSE:
        fputs("paused: no workers, connections wait; tinectl resume, or a reload, starts them\n", show->out);
        break;
    case CONTROL_RESUME:
        fputs("resumed\n", show->out);
        break;
    case CONTROL_LOGLEVEL:
        fprintf(show->out, "level: %s, before: %s\n", json_get_text(answer, "level", "?"),
                json_get_text(answer, "before", "?"));
        break;
    case CONTROL_REOPEN:
        fputs("log files opened again\n", show->out);
        break;
    default:
        break;
    }
}

static void show_answer(const struct show *show, const struct options *options, const struct json *answer)
{
    switch (options->request.command) {
    case CONTROL_STATUS:
        show_status(show, answer);
        break;
    case CONTROL_WORKERS:
        show_workers(show, answer);
        break;
    case CONTROL_STACKS:
        show_stacks(show, json_get(answer, "stacks"),
                    "no answer: it has not started Python, is stopped, or runs no Python");
        break;
    case CONTROL_TASKS:
        show_stacks(show, json_get(answer, "tasks"), "no answer: its loop is busy (see stacks), or it runs no Python");
        break;
    case CONTROL_CONFIG:
    case CONTROL_METRICS:
        show_text(show, json_get_text(answer, "text", ""));
        break;
    default:
        show_done(show, options, answer);
    }
}

static void show_refusal(const struct show *show, const struct options *options, const struct json *answer)
{
    struct show errors = *show;
    errors.out = stderr;
    fprintf(stderr, "tinectl: %s%s", options->line, options->request.command == CONTROL_RELOAD ? " failed:\n" : ": ");
    show_text(&errors, json_get_text(answer, "error", "the answer is not what was expected"));
}

static int act(const struct show *show, const struct options *options, int fd)
{
    bool waits = options->request.command == CONTROL_RELOAD || options->request.command == CONTROL_STOP;
    size_t n = 0;
    const char *why = NULL;
    char *line = talk_ask(fd, options->line, waits ? 0 : ANSWER_S, &n, &why);
    struct json *answer = line ? json_parse(line, n) : NULL;
    if (!answer) {
        fprintf(stderr, "tinectl: %s\n", why ? why : "the answer is not what was expected");
        free(line);
        return TINECTL_SILENT;
    }
    bool ok = json_get_bool(answer, "ok");
    if (ok && options->request.command == CONTROL_STOP)
        talk_wait_end(fd);
    if (options->json)
        fprintf(show->out, "%s\n", line);
    else if (ok)
        show_answer(show, options, answer);
    else
        show_refusal(show, options, answer);
    json_free(answer);
    free(line);
    return ok ? TINECTL_OK : TINECTL_FAILED;
}

/* The configuration names no socket: it can be asked for, but nobody says how it goes. */
static int reload_by_signal(const struct options *options)
{
    fprintf(stderr, "tinectl: %s names no control.socket: sending SIGHUP; whether the reload succeeds is in the log\n",
            options->file);
    if (kill(options->master, SIGHUP) == 0)
        return TINECTL_OK;
    fprintf(stderr, "tinectl: process %d: %s\n", (int)options->master, strerror(errno));
    return TINECTL_FAILED;
}

int main(int argc, char **argv)
{
    struct options options = { 0 };
    int status = read_options(&options, argc, argv);
    if (status >= 0)
        return status;
    bool may_signal = options.master && options.file && !options.socket && options.request.command == CONTROL_RELOAD;
    if (may_signal && talk_file_is_silent(options.file))
        return reload_by_signal(&options);
    char *path = talk_find_socket(options.socket, options.file);
    int fd = path ? talk_connect(path) : -1;
    free(path);
    if (fd < 0)
        return TINECTL_SILENT;
    const struct show show = { .out = stdout, .colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
    if (options.request.command == CONTROL_TOP && !options.json)
        status = top_run(&show, fd) < 0 ? TINECTL_SILENT : TINECTL_OK;
    else
        status = act(&show, &options, fd);
    close(fd);
    return fflush(stdout) == 0 || status != TINECTL_OK ? status : TINECTL_FAILED;
}
