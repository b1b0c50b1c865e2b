/* SPDX-License-Identifier: BSD-3-Clause */
/* stacks.c: see stacks.h. The handler in the worker says nothing when it is through: a pause tells.
 * Must never wait for a worker. */
#include "master/fleet/stacks.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "common/log.h"
#include "master/control/control.h"
#include "master/master.h"

#define LOOK_MS 50L
#define PAUSE_MS 200       /* of silence: it was all */
#define ANSWER_MS 3000     /* it does not answer */
#define TEXT_MOST 1048576u /* faulthandler ends at 100 threads of 100 frames */

static void start_next(struct master *master);

/* --- one worker --- */

static struct stacks_found *found_of(const struct slot *slot)
{
    struct stacks *stacks = &slot->master->stacks;
    for (size_t i = 0; i < stacks->n; i++)
        if (stacks->v[i].slot == slot->index && stacks->v[i].pid == slot->pid)
            return &stacks->v[i];
    return NULL;
}

static void keep(struct buf *text, const char *p, size_t n)
{
    if (buf_len(text) + n <= TEXT_MOST && buf_add(text, p, n) < 0)
        log_error("out of memory for the stacks of a worker");
}

static void log_text(struct slot *slot)
{
    char first[80];
    if (!buf_len(&slot->stacks_text))
        return;
    snprintf(first, sizeof(first), "worker %u (pid %d): stacks of its threads:", slot->index + 1, (int)slot->pid);
    struct span text = buf_span(&slot->stacks_text);
    log_block(LOG_LEVEL_ERROR, first, text.p, text.n);
    buf_release(&slot->stacks_text);
}

/* What is in the pipe now, at most a pipe full. */
static void read_pipe(struct slot *slot)
{
    char part[16384];
    for (int i = 0; i < 4; i++) {
        ssize_t n = read(slot->stacks_fd, part, sizeof(part));
        if (n <= 0) {
            if (n == 0)
                event_del(&slot->stacks);
            return;
        }
        struct stacks_found *found = found_of(slot);
        if (found) {
            keep(&found->text, part, (size_t)n);
            found->said_ms = clock_ms();
        }
        if (!found || slot->hung) {
            keep(&slot->stacks_text, part, (size_t)n);
            slot->stacks_ms = clock_ms();
        }
    }
}

void on_slot_stacks(int fd, short what, void *arg)
{
    read_pipe(arg);
}

void stacks_to_log(struct slot *slot)
{
    privs_signal(&slot->master->privs, slot->pid, SIGUSR2);
}

void stacks_look(struct master *master)
{
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot *slot = &master->slots.v[i];
        if (slot->stacks_fd >= 0 && now - slot->stacks_ms >= PAUSE_MS)
            log_text(slot);
    }
}

void stacks_gone(struct slot *slot)
{
    if (slot->stacks_fd >= 0)
        read_pipe(slot);
    log_text(slot);
    struct stacks_found *found = found_of(slot);
    if (found)
        found->over = true;
}

/* --- one question --- */

static void clear(struct stacks *stacks)
{
    for (size_t i = 0; i < stacks->n; i++)
        buf_release(&stacks->v[i].text);
    free(stacks->v);
    stacks->v = NULL;
    stacks->n = 0;
    stacks->asker = NULL;
}

static void answer(struct master *master)
{
    struct stacks *stacks = &master->stacks;
    struct control_client *client = stacks->asker;
    struct buf line = { 0 };
    struct json_out j;
    json_begin_document(&j, &line);
    json_object(&j, NULL);
    json_bool(&j, "ok", true);
    json_array(&j, "stacks");
    for (size_t i = 0; i < stacks->n; i++) {
        struct span text = buf_span(&stacks->v[i].text);
        json_object(&j, NULL);
        json_uint(&j, "worker", stacks->v[i].slot + 1);
        json_int(&j, "pid", stacks->v[i].pid);
        if (text.n)
            json_text(&j, "text", text.p, text.n);
        else
            json_null(&j, "text");
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    clear(stacks);
    if (json_end_document(&j) < 0)
        control_answer_error(client, "out of memory");
    else
        control_client_answer(client, &line);
    buf_release(&line);
}

static bool is_over(const struct stacks *stacks, uint64_t now)
{
    for (size_t i = 0; i < stacks->n; i++) {
        const struct stacks_found *found = &stacks->v[i];
        uint64_t since = found->said_ms ? found->said_ms : stacks->asked_ms;
        uint64_t most = found->said_ms ? PAUSE_MS : ANSWER_MS;
        if (!found->over && now - since < most)
            return false;
    }
    return true;
}

static void on_timer(int fd, short what, void *arg)
{
    struct master *master = arg;
    if (!is_over(&master->stacks, clock_ms()))
        return;
    event_del(&master->stacks.timer);
    answer(master);
    start_next(master);
}

/* Signals whom the client asked about. 0; -1: nobody, and the client has been told. */
static int start(struct master *master, struct control_client *client)
{
    static const struct timeval look = { .tv_usec = LOOK_MS * 1000 };
    struct stacks *stacks = &master->stacks;
    stacks->v = calloc(slots_alive(&master->slots) + 1, sizeof(*stacks->v));
    for (unsigned i = 0; stacks->v && i < SLOTS_MAX; i++) {
        const struct slot *slot = &master->slots.v[i];
        if (slot->pid <= 0 || (client->stacks_of && (pid_t)client->stacks_of != slot->pid))
            continue;
        stacks->v[stacks->n++] = (struct stacks_found){ .slot = i, .pid = slot->pid };
        privs_signal(&master->privs, slot->pid, SIGUSR2);
    }
    if (!stacks->n) {
        control_answer_error(client, !stacks->v          ? "out of memory"
                                     : client->stacks_of ? "no worker has this process id"
                                                         : "there is no worker");
        clear(stacks);
        return -1;
    }
    stacks->asker = client;
    stacks->asked_ms = clock_ms();
    event_assign(&stacks->timer, master->base, -1, EV_PERSIST, on_timer, master);
    event_add(&stacks->timer, &look);
    return 0;
}

static void start_next(struct master *master)
{
    struct control_client *client;
    TAILQ_FOREACH (client, &master->control.clients, link)
        if (client->waits == CONTROL_WAIT_STACKS && start(master, client) == 0)
            return;
}

void stacks_ask(struct master *master, struct control_client *client, unsigned pid)
{
    client->waits = CONTROL_WAIT_STACKS;
    client->stacks_of = pid;
    if (!master->stacks.asker)
        start_next(master);
}

void stacks_forget(struct master *master, struct control_client *client)
{
    if (master->stacks.asker != client)
        return;
    client->waits = CONTROL_WAIT_NOTHING;
    stacks_done(master);
    start_next(master);
}

void stacks_done(struct master *master)
{
    if (master->stacks.asker)
        event_del(&master->stacks.timer);
    clear(&master->stacks);
}
