/* SPDX-License-Identifier: BSD-3-Clause */
/* control_stacks.c: clients that ask for the stacks of workers. The fleet answers one question at a time; the others wait
 * in the order in which their clients came. */
#include "master/control/control_priv.h"
#include "master/fleet/fleet.h"

static void start_next(struct control *control);

static void on_stacks(void *arg, const struct stacks_found *v, size_t n)
{
    struct control *control = arg;
    struct control_client *client = control->stacks_asker;
    struct control_answer answer;
    struct json_out *j = control_answer_begin(&answer, true);
    json_array(j, client->wants_tasks ? "tasks" : "stacks");
    for (size_t i = 0; i < n; i++) {
        struct span text = buf_span(&v[i].text);
        json_object(j, NULL);
        json_uint(j, "worker", v[i].slot + 1);
        json_int(j, "pid", v[i].pid);
        if (text.n)
            json_text(j, "text", text.p, text.n);
        else
            json_null(j, "text");
        json_end_object(j);
    }
    json_end_array(j);
    control->stacks_asker = NULL;
    control_answer_end(&answer, client);
    start_next(control);
}

static void start_next(struct control *control)
{
    struct control_client *client;
    TAILQ_FOREACH (client, &control->clients, link) {
        if (client->waits != CONTROL_WAIT_STACKS)
            continue;
        const char *why = stacks_ask(control->fleet, client->wants_tasks ? STACKS_TASKS : STACKS_THREADS,
                                     (pid_t)client->stacks_of, on_stacks, control);
        if (!why) {
            control->stacks_asker = client;
            return;
        }
        control_answer_error(client, why);
    }
}

void control_stacks_ask(struct control_client *client, bool tasks, unsigned pid)
{
    client->wants_tasks = tasks;
    client->waits = CONTROL_WAIT_STACKS;
    client->stacks_of = pid;
    if (!client->control->stacks_asker)
        start_next(client->control);
}

void control_stacks_forget(struct control_client *client)
{
    struct control *control = client->control;
    client->waits = CONTROL_WAIT_NOTHING;
    if (control->stacks_asker != client)
        return;
    control->stacks_asker = NULL;
    stacks_cancel(&control->fleet->stacks);
    start_next(control);
}
