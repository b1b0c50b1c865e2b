/* SPDX-License-Identifier: BSD-3-Clause */
/* control_client.c: the conversation with one client: lines in, lines of JSON out. One request at a
 * time, and the next is not looked at before the answer has left: so a client that sends without
 * reading fills its own socket and nothing of ours. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "master/control/control_priv.h"
#include "master/service.h"

#define IDLE_S 60  /* without a request */
#define WRITE_S 20 /* in which it takes nothing of its answer */
#define READ_MOST ((size_t)2 * (CONTROL_LINE_MAX + 2))

static bool has_unsent(const struct control_client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->io)) > 0;
}

/* One request, if a whole line is there. Whether there was one. */
static bool take_request(struct control_client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->io);
    struct control_request request;
    size_t n = 0;
    char *line = evbuffer_readln(input, &n, EVBUFFER_EOL_CRLF);
    if (!line && evbuffer_get_length(input) <= CONTROL_LINE_MAX + 1)
        return false;
    const char *why = line ? control_parse(line, n, &request) : "the line is too long";
    client->last = !line;
    if (why)
        control_answer_error(client, why);
    else
        client->on_request(client, &request);
    free(line);
    return true;
}

/* Takes requests as long as it can; the client may be gone after it. */
static void proceed(struct control_client *client)
{
    while (client->waits == CONTROL_WAIT_NOTHING && !has_unsent(client)) {
        if (!client->last && take_request(client))
            continue;
        if (client->last || client->eof)
            control_client_free(client);
        return;
    }
}

/* Not only done with sending. */
static bool is_gone(const struct control_client *client)
{
    struct pollfd p = { .fd = bufferevent_getfd(client->io) };
    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void on_read(struct bufferevent *io, void *arg)
{
    proceed(arg);
}

static void on_written(struct bufferevent *io, void *arg)
{
    proceed(arg);
}

static void on_event(struct bufferevent *io, short what, void *arg)
{
    struct control_client *client = arg;
    if (what & BEV_EVENT_EOF && !is_gone(client)) {
        client->eof = true;
        proceed(client);
    } else if (what & BEV_EVENT_TIMEOUT && what & BEV_EVENT_READING &&
               (client->waits != CONTROL_WAIT_NOTHING || has_unsent(client))) {
        bufferevent_enable(io, EV_READ);
    } else {
        control_client_free(client);
    }
}

void control_client_open(struct control *control, int fd, pid_t pid, uid_t uid,
                         void (*on_request)(struct control_client *, const struct control_request *))
{
    static const struct timeval idle = { .tv_sec = IDLE_S }, writing = { .tv_sec = WRITE_S };
    struct control_client *client = calloc(1, sizeof(*client));
    if (client)
        client->io = bufferevent_socket_new(control->service->fleet.base, fd, 0);
    if (!client || !client->io) {
        log_error("control: out of memory for a client");
        free(client);
        close(fd);
        return;
    }
    client->control = control;
    client->on_request = on_request;
    client->pid = pid;
    client->uid = uid;
    TAILQ_INSERT_TAIL(&control->clients, client, link);
    control->n_clients++;
    bufferevent_setcb(client->io, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->io, EV_READ, 0, READ_MOST);
    bufferevent_set_timeouts(client->io, &idle, &writing);
    bufferevent_enable(client->io, EV_READ | EV_WRITE);
}

static void forget(struct control_client *client)
{
    if (client->waits == CONTROL_WAIT_STACKS)
        control_stacks_forget(client);
    TAILQ_REMOVE(&client->control->clients, client, link);
    client->control->n_clients--;
    bufferevent_free(client->io);
    free(client);
}

void control_client_free(struct control_client *client)
{
    int fd = bufferevent_getfd(client->io);
    forget(client);
    close(fd);
}

void control_client_leave(struct control_client *client)
{
    int fd = bufferevent_getfd(client->io);
    bool closes = client->waits != CONTROL_WAIT_STOP;
    if (has_unsent(client) && evbuffer_write(bufferevent_get_output(client->io), fd) < 0)
        log_debug("control: the last answer to process %d is lost: %s", (int)client->pid, strerror(errno));
    forget(client);
    if (closes)
        close(fd);
}
