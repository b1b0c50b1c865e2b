/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics_clients.c: evhttp does not report that it closes a connection: we hold our own reference
 * to each stream, and one without callbacks has ended. Its descriptor must live as long as its events do, up to our
 * last reference: libevent would take a new descriptor of the same number for watched already, and never hear of it. */
#include "master/metrics/metrics_clients.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/clock.h"

#define CLIENTS_MAX 64
#define QUIET_MS 30000

struct client {
    struct bufferevent *stream;
    uint64_t since_ms; /* of its last request, or of its beginning */
    TAILQ_ENTRY(client) link;
};

struct metrics_clients {
    unsigned n;
    TAILQ_HEAD(client_list, client) by_age; /* quiet for the longest time first */
};

struct metrics_clients *metrics_clients_new(void)
{
    struct metrics_clients *clients = calloc(1, sizeof(*clients));
    if (clients)
        TAILQ_INIT(&clients->by_age);
    return clients;
}

static bool is_over(const struct client *client)
{
    bufferevent_event_cb on_event;
    bufferevent_getcb(client->stream, NULL, NULL, &on_event, NULL);
    return !on_event;
}

static void forget(struct metrics_clients *clients, struct client *client)
{
    TAILQ_REMOVE(&clients->by_age, client, link);
    bufferevent_decref(client->stream);
    clients->n--;
    free(client);
}

/* evhttp reads the end of it, and closes. */
static void end_client(const struct client *client)
{
    evutil_socket_t fd = bufferevent_getfd(client->stream);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

void metrics_clients_tick(struct metrics_clients *clients)
{
    uint64_t now = clock_ms();
    struct client *client, *next;
    for (client = TAILQ_FIRST(&clients->by_age); client; client = next) {
        next = TAILQ_NEXT(client, link);
        if (is_over(client))
            forget(clients, client);
        else if (now - client->since_ms > QUIET_MS)
            end_client(client);
    }
}

void metrics_clients_free(struct metrics_clients *clients)
{
    if (!clients)
        return;
    while (!TAILQ_EMPTY(&clients->by_age))
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the last one has left the list
        forget(clients, TAILQ_FIRST(&clients->by_age));
    free(clients);
}

struct bufferevent *metrics_clients_open(struct event_base *base, void *arg)
{
    struct metrics_clients *clients = arg;
    struct client *client = malloc(sizeof(*client));
    if (!client)
        return NULL;
    *client =
        (struct client){ .stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE), .since_ms = clock_ms() };
    if (!client->stream) {
        free(client);
        return NULL;
    }
    metrics_clients_tick(clients);
    if (clients->n >= CLIENTS_MAX)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what metrics_clients_tick() has freed has left the list
        end_client(TAILQ_FIRST(&clients->by_age));
    bufferevent_incref(client->stream);
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): nor has it freed what is last
    TAILQ_INSERT_TAIL(&clients->by_age, client, link);
    clients->n++;
    return client->stream;
}

void metrics_clients_touch(struct metrics_clients *clients, const struct bufferevent *stream)
{
    struct client *client;
    TAILQ_FOREACH (client, &clients->by_age, link) {
        if (client->stream != stream)
            continue;
        TAILQ_REMOVE(&clients->by_age, client, link);
        TAILQ_INSERT_TAIL(&clients->by_age, client, link);
        client->since_ms = clock_ms();
        return;
    }
}
