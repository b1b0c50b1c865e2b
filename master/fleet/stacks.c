/* SPDX-License-Identifier: BSD-3-Clause */
/* stacks.c: questions for stacks and what workers answer. The handler in the worker gives no sign when it has written
 * everything: silence on the pipe is taken for the end. Must never wait for a worker. */
#include "master/fleet/stacks.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ipc.h"
#include "common/log.h"
#include "master/fleet/fleet.h"

#define LOOK_MS 50
#define PAUSE_MS 200       /* of silence after the last byte: that was everything */
#define ANSWER_MS 3000     /* without a byte: the worker does not answer */
#define TEXT_MOST 1048576u /* faulthandler ends at 100 threads of 100 frames */

/* --- one worker --- */

static struct stacks_found *found_of(const struct slot *slot)
{
    struct stacks *stacks = &slot->fleet->stacks;
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

/* Takes what is in the pipe now, at most a pipe full. */
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
        if (!found || slot_is_hung(slot)) {
            keep(&slot->stacks_text, part, (size_t)n);
            slot->stacks_ms = clock_ms();
        }
    }
}

void stacks_on_readable(evutil_socket_t fd, short what, void *arg)
{
    read_pipe(arg);
}

void stacks_to_log(struct slot *slot)
{
    privs_signal(&slot->fleet->privs, slot->pid, SIGUSR2);
}

void stacks_of_late(const struct fleet *fleet, const char *who, pid_t pid, uint64_t ms)
{
    log_error(
        "%s (pid %d) was not ready after %.3g s (server.boot_timeout): the stacks of its threads follow, then it is "
        "killed",
        who, (int)pid, (double)ms / 1000.0);
    privs_signal(&fleet->privs, pid, SIGUSR2);
}

void stacks_tick(struct fleet *fleet)
{
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        struct slot *slot = &fleet->slots.v[i];
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
        found->complete = true;
}

/* --- one question --- */

static void free_found(struct stacks_found *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_release(&v[i].text);
    free(v);
}

static bool is_complete(const struct stacks *stacks, uint64_t now)
{
    for (size_t i = 0; i < stacks->n; i++) {
        const struct stacks_found *found = &stacks->v[i];
        uint64_t since = found->said_ms ? found->said_ms : stacks->asked_ms;
        uint64_t most = found->said_ms ? PAUSE_MS : ANSWER_MS;
        if (!found->complete && now - since < most)
            return false;
    }
    return true;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct stacks *stacks = arg;
    if (!is_complete(stacks, clock_ms()))
        return;
    struct stacks question = *stacks;
    event_del(&stacks->timer);
    *stacks = (struct stacks){ 0 }; /* the next question may be asked from the callback */
    question.done(question.arg, question.v, question.n);
    free_found(question.v, question.n);
}

const char *stacks_ask(struct fleet *fleet, enum stacks_question what, pid_t pid, stacks_done_fn *done, void *arg)
{
    static const struct timeval look = { .tv_usec = LOOK_MS * 1000L };
    struct stacks *stacks = &fleet->stacks;
    *stacks = (struct stacks){ .v = calloc(slots_alive(&fleet->slots) + 1, sizeof(*stacks->v)) };
    if (!stacks->v)
        return "out of memory";
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        const struct slot *slot = &fleet->slots.v[i];
        if (slot->pid <= 0 || (pid && pid != slot->pid))
            continue;
        stacks->v[stacks->n++] = (struct stacks_found){ .slot = i, .pid = slot->pid };
        if (what == STACKS_THREADS)
            privs_signal(&fleet->privs, slot->pid, SIGUSR2);
        else if (slot->ipc_fd >= 0 && ipc_send(slot->ipc_fd, IPC_TASKS, NULL, 0) < 0)
            log_debug("worker %u (pid %d) does not take TASKS: %m", slot->index + 1, (int)slot->pid);
    }
    if (!stacks->n) {
        free(stacks->v);
        stacks->v = NULL;
        return pid ? "no worker has this process id" : "there is no worker";
    }
    stacks->done = done;
    stacks->arg = arg;
    stacks->asked_ms = clock_ms();
    event_assign(&stacks->timer, fleet->base, -1, EV_PERSIST, on_timer, stacks);
    event_add(&stacks->timer, &look);
    return NULL;
}

void stacks_cancel(struct stacks *stacks)
{
    if (!stacks->done)
        return;
    event_del(&stacks->timer);
    free_found(stacks->v, stacks->n);
    *stacks = (struct stacks){ 0 };
}

bool stacks_are_asked(const struct stacks *stacks)
{
    return stacks->done != NULL;
}
