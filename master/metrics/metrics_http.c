/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics_http.c: must never wait for anything: it runs in the master's event loop. */
#include "master/metrics/metrics_http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/heritage.h"
#include "common/log.h"
#include "master/metrics/history.h"
#include "master/service.h"
#include "master/metrics/metrics_clients.h"
#include "master/metrics/openmetrics.h"
#include "master/metrics/readiness.h"
#include "master/metrics/snapshot.h"
#include "master/metrics/status_json.h"
#include "master/metrics/status_page.h"

#define IDLE_S 10
#define HEAD_MAX 16384
#define BODY_MAX 1024

struct metrics_http {
    const struct service *service;
    const struct history *history;
    struct evhttp *evhttp;
    struct metrics_clients *clients;
    struct evhttp_bound_socket **doors;
    size_t n_doors;
};

/* --- answers --- */

struct answer {
    int status;
    const char *reason, *type;
    char *text; /* malloc'ed, given away */
    size_t n;
};

static void free_text(const void *data, size_t n, void *extra)
{
    free(extra);
}

static void add_field(struct evhttp_request *req, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(req), name, value);
}

/* Takes the text. To HEAD the body is only announced. */
static void send_answer(struct evhttp_request *req, const struct answer *answer)
{
    char length[24];
    struct evbuffer *body = NULL;
    snprintf(length, sizeof(length), "%zu", answer->n);
    add_field(req, "Content-Type", answer->type);
    add_field(req, "Content-Length", length);
    add_field(req, "Cache-Control", "no-store");
    add_field(req, "X-Content-Type-Options", "nosniff");
    if (evhttp_request_get_command(req) != EVHTTP_REQ_HEAD && (body = evbuffer_new()) != NULL &&
        evbuffer_add_reference(body, answer->text, answer->n, free_text, answer->text) == 0)
        evhttp_send_reply(req, answer->status, answer->reason, body);
    else {
        free(answer->text);
        evhttp_send_reply(req, answer->status, answer->reason, NULL);
    }
    if (body)
        evbuffer_free(body);
}

static void say(struct evhttp_request *req, int status, const char *reason, const char *words)
{
    struct answer answer = { status, reason, "text/plain; charset=utf-8", NULL, 0 };
    int n = asprintf(&answer.text, "%s\n", words);
    if (n < 0) {
        evhttp_send_error(req, HTTP_INTERNAL, NULL);
        return;
    }
    answer.n = (size_t)n;
    send_answer(req, &answer);
}

/* --- what the client wants --- */

static const char *field(const struct evhttp_request *req, const char *name)
{
    const char *value =
        evhttp_find_header(evhttp_request_get_input_headers((struct evhttp_request *)(uintptr_t)req), name);
    return value ? value : "";
}

static bool query_is(struct evhttp_request *req, const char *wanted)
{
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    return query && strcmp(query, wanted) == 0;
}

/* --- the paths --- */

static void healthz(struct metrics_http *http, struct evhttp_request *req)
{
    say(req, HTTP_OK, "OK", "alive");
}

static void readyz(struct metrics_http *http, struct evhttp_request *req)
{
    const char *fault = readiness_fault(http->service);
    if (fault)
        say(req, HTTP_SERVUNAVAIL, "Service Unavailable", fault);
    else
        say(req, HTTP_OK, "OK", "ready");
}

/* A text made by `write` and sent; out of memory: 500. */
struct report {
    const struct history *history;
    struct snapshot snapshot;
};

static void send_report(struct metrics_http *http, struct evhttp_request *req, const char *type,
                        int (*write)(FILE *out, const struct report *report, const void *arg), const void *arg)
{
    struct answer answer = { HTTP_OK, "OK", type, NULL, 0 };
    struct report *report = malloc(sizeof(*report));
    FILE *out = report ? open_memstream(&answer.text, &answer.n) : NULL;
    if (!out || snapshot_take(http->service, &report->snapshot) < 0)
        goto no_memory;
    report->history = http->history;
    int failed = write(out, report, arg);
    snapshot_done(&report->snapshot);
    failed |= ferror(out);
    failed |= fclose(out);
    out = NULL;
    if (failed)
        goto no_memory;
    free(report);
    send_answer(req, &answer);
    return;

no_memory:
    if (out)
        fclose(out);
    free(report);
    free(answer.text);
    evhttp_send_error(req, HTTP_INTERNAL, NULL);
}

static int write_metrics(FILE *out, const struct report *report, const void *arg)
{
    openmetrics_write(out, *(const enum openmetrics_format *)arg, &report->snapshot);
    return 0;
}

static void metrics(struct metrics_http *http, struct evhttp_request *req)
{
    bool open = strcasestr(field(req, "Accept"), "application/openmetrics-text") != NULL;
    enum openmetrics_format format = open ? OPENMETRICS_1_0 : PROMETHEUS_0_0_4;
    add_field(req, "Vary", "Accept");
    send_report(http, req, openmetrics_type(format), write_metrics, &format);
}

static int write_json(FILE *out, const struct report *report, const void *arg)
{
    return status_json_write(out, &report->snapshot, report->history);
}

static int write_page(FILE *out, const struct report *report, const void *arg)
{
    status_page_write(out, &report->snapshot, report->history, arg);
    return 0;
}

static void status(struct metrics_http *http, struct evhttp_request *req)
{
    char nonce[STATUS_PAGE_NONCE], policy[256];
    const char *accept = field(req, "Accept");
    add_field(req, "Vary", "Accept");
    if (query_is(req, "format=json") || (strcasestr(accept, "application/json") && !strcasestr(accept, "text/html"))) {
        send_report(http, req, "application/json", write_json, NULL);
        return;
    }
    bool part = query_is(req, "part");
    if (status_page_nonce(nonce) < 0) {
        evhttp_send_error(req, HTTP_INTERNAL, NULL);
        return;
    }
    snprintf(policy, sizeof(policy),
             "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             nonce, nonce);
    add_field(req, "Content-Security-Policy", policy);
    add_field(req, "Referrer-Policy", "no-referrer");
    send_report(http, req, "text/html; charset=utf-8", write_page, part ? NULL : nonce);
}

static const struct {
    const char *path;
    void (*answer)(struct metrics_http *http, struct evhttp_request *req);
} paths[] = {
    { "/metrics", metrics },
    { "/healthz", healthz },
    { "/readyz", readyz },
    { "/status", status },
};

static void on_request(struct evhttp_request *req, void *arg)
{
    struct metrics_http *http = arg;
    enum evhttp_cmd_type method = evhttp_request_get_command(req);
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    metrics_clients_touch(http->clients, evhttp_connection_get_bufferevent(evhttp_request_get_connection(req)));
    if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        add_field(req, "Allow", "GET, HEAD");
        say(req, HTTP_BADMETHOD, "Method Not Allowed", "only GET and HEAD");
        return;
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (path && strcmp(path, paths[i].path) == 0) {
            paths[i].answer(http, req);
            return;
        }
    }
    say(req, HTTP_NOTFOUND, "Not Found", "here are /metrics, /healthz, /readyz and /status");
}

/* --- life --- */

struct metrics_http *metrics_http_new(const struct service *service, const struct history *history)
{
    struct metrics_http *http = calloc(1, sizeof(*http));
    if (!http)
        return NULL;
    http->service = service;
    http->history = history;
    http->clients = metrics_clients_new();
    http->evhttp = evhttp_new(service->fleet.base);
    if (!http->clients || !http->evhttp) {
        metrics_http_free(http);
        return NULL;
    }
    evhttp_set_timeout(http->evhttp, IDLE_S);
    evhttp_set_max_headers_size(http->evhttp, HEAD_MAX);
    evhttp_set_max_body_size(http->evhttp, BODY_MAX);
    /* The others are answered too: with 405. */
    evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                                 EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
                                                 EVHTTP_REQ_PATCH);
    evhttp_set_bevcb(http->evhttp, metrics_clients_open, http->clients);
    evhttp_set_gencb(http->evhttp, on_request, http);
    return http;
}

static void close_doors(struct metrics_http *http, struct evhttp_bound_socket **doors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        evhttp_del_accept_socket(http->evhttp, doors[i]);
    free(doors);
}

void metrics_http_free(struct metrics_http *http)
{
    if (!http)
        return;
    if (http->evhttp)
        evhttp_free(http->evhttp); /* its connections and doors with it */
    free(http->doors);
    metrics_clients_free(http->clients);
    free(http);
}

/* A copy: the socket of the configuration may be closed before we are done. */
static struct evhttp_bound_socket *open_door(struct metrics_http *http, const struct listener *listener)
{
    int fd = fcntl(listener->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0)
        return NULL;
    struct evconnlistener *door =
        evconnlistener_new(http->service->fleet.base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!door) {
        close(fd);
        return NULL;
    }
    struct evhttp_bound_socket *bound = evhttp_bind_listener(http->evhttp, door);
    if (!bound)
        evconnlistener_free(door);
    return bound;
}

void metrics_http_tick(struct metrics_http *http)
{
    metrics_clients_tick(http->clients);
}

void metrics_http_listen(struct metrics_http *http, const struct listener *listeners, size_t n)
{
    struct evhttp_bound_socket **old = http->doors;
    size_t n_old = http->n_doors;
    http->n_doors = 0;
    http->doors = calloc(n + 1, sizeof(struct evhttp_bound_socket *));
    for (size_t i = 0; http->doors && i < n; i++) {
        struct evhttp_bound_socket *door = open_door(http, &listeners[i]);
        if (door)
            http->doors[http->n_doors++] = door;
        else
            log_error("metrics on %s: %s", listeners[i].text, strerror(errno));
    }
    close_doors(http, old, n_old);
}
