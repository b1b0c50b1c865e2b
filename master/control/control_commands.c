/* SPDX-License-Identifier: BSD-3-Clause */
/* control_commands.c: what each command does and what is answered. Orders go the same way as those
 * of the signals; each is logged with who gave it. */
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/json_out.h"
#include "common/log.h"
#include "conf/conf_load.h"
#include "master/control/control_priv.h"
#include "master/fleet/recycle.h"
#include "master/metrics/openmetrics.h"
#include "master/metrics/snapshot.h"
#include "master/orders.h"
#include "master/service.h"

static void answer_ok(struct control_client *client)
{
    struct control_answer a;
    control_answer_begin(&a, true);
    control_answer_end(&a, client);
}

static void log_order(const struct control_client *client, const char *order)
{
    log_info("control socket: %s (asked by process %d of user %u)", order, (int)client->pid, (unsigned)client->uid);
}

/* --- questions --- */

static void answer_snapshot(struct control_client *client, bool service, bool workers)
{
    struct snapshot snapshot;
    struct control_answer a;
    if (snapshot_take(client->control->service, &snapshot) < 0) {
        control_answer_error(client, "out of memory");
        return;
    }
    struct json_out *j = control_answer_begin(&a, true);
    if (service)
        snapshot_write_service(&snapshot, j);
    if (workers)
        snapshot_write_workers(&snapshot, service, j);
    control_answer_end(&a, client);
    snapshot_done(&snapshot);
}

static void do_status(struct control_client *client, const struct control_request *request)
{
    answer_snapshot(client, true, false);
}

static void do_workers(struct control_client *client, const struct control_request *request)
{
    answer_snapshot(client, false, true);
}

static void do_top(struct control_client *client, const struct control_request *request)
{
    answer_snapshot(client, true, true);
}

/* What `write` writes, as one string. */
static void answer_text(struct control_client *client, int (*write)(const struct service *, FILE *))
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    int failed = !out || write(client->control->service, out) < 0;
    if (out)
        failed |= fclose(out);
    if (failed) {
        control_answer_error(client, "out of memory");
    } else {
        struct control_answer a;
        json_text(control_answer_begin(&a, true), "text", text, n);
        control_answer_end(&a, client);
    }
    free(text);
}

static int write_config(const struct service *service, FILE *out)
{
    conf_dump(service->fleet.current->loaded, out);
    return 0;
}

static void do_config(struct control_client *client, const struct control_request *request)
{
    answer_text(client, write_config);
}

static int write_metrics(const struct service *service, FILE *out)
{
    struct snapshot snapshot;
    if (snapshot_take(service, &snapshot) < 0)
        return -1;
    openmetrics_write(out, OPENMETRICS_1_0, &snapshot);
    snapshot_done(&snapshot);
    return 0;
}

static void do_metrics(struct control_client *client, const struct control_request *request)
{
    answer_text(client, write_metrics);
}

static void do_stacks(struct control_client *client, const struct control_request *request)
{
    log_order(client, "stacks");
    control_stacks_ask(client, false, request->number);
}

static void do_tasks(struct control_client *client, const struct control_request *request)
{
    log_order(client, "tasks");
    control_stacks_ask(client, true, request->number);
}

/* --- orders --- */

static bool is_stopping(const struct service *service)
{
    return service->state == SERVICE_STOPPING || service->state == SERVICE_LEAVING;
}

/* The reload that begins next is the first that sees what the client means: one under way has read the files before. */
static void do_reload(struct control_client *client, const struct control_request *request)
{
    struct control *control = client->control;
    if (is_stopping(control->service)) {
        control_answer_error(client, "the service stops");
        return;
    }
    log_order(client, "reload");
    client->waits = CONTROL_WAIT_RELOAD;
    client->reload = control->service->reload.begun + 1;
    control->orders->reload(control->orders_arg);
}

static void do_scale(struct control_client *client, const struct control_request *request)
{
    struct control *control = client->control;
    unsigned before = control->service->fleet.current->target;
    char order[48];
    if (is_stopping(control->service)) {
        control_answer_error(client, "the service stops");
        return;
    }
    if (request->number > WORKERS_MAX) {
        snprintf(order, sizeof(order), "at most %d workers", WORKERS_MAX);
        control_answer_error(client, order);
        return;
    }
    snprintf(order, sizeof(order), "scale %u", request->number);
    log_order(client, order);
    control->orders->scale_to(control->orders_arg, request->number);
    struct control_answer a;
    struct json_out *j = control_answer_begin(&a, true);
    json_uint(j, "workers", request->number);
    json_uint(j, "before", before);
    control_answer_end(&a, client);
}

/* The worker with this number that serves; NULL: there is none. */
static struct slot *serving_worker(struct fleet *fleet, unsigned number)
{
    struct slot *slot = number <= fleet->slots.n ? &fleet->slots.v[number - 1] : NULL;
    return slot && slot_serves(slot, fleet->current) ? slot : NULL;
}

/* Its successor comes first, as with server.max_requests. */
static void do_restart(struct control_client *client, const struct control_request *request)
{
    struct control *control = client->control;
    struct slot *slot = serving_worker(control->fleet, request->number);
    char order[48];
    if (is_stopping(control->service)) {
        control_answer_error(client, "the service stops");
        return;
    }
    if (!slot || slot->farewell != SLOT_STAYS) {
        control_answer_error(client, slot ? "it is being replaced already" : "no worker that is ready has this number");
        return;
    }
    snprintf(order, sizeof(order), "restart %u", request->number);
    log_order(client, order);
    recycle_ask(slot, "tinectl restart");
    struct control_answer a;
    struct json_out *j = control_answer_begin(&a, true);
    json_uint(j, "worker", request->number);
    json_int(j, "pid", slot->pid);
    control_answer_end(&a, client);
}

static void do_pause(struct control_client *client, const struct control_request *request)
{
    struct control *control = client->control;
    if (control->service->state != SERVICE_RUNNING || control->fleet->paused) {
        control_answer_error(client, control->fleet->paused
                                         ? "it is paused already"
                                         : "only a service that runs, and does not reload, can pause");
        return;
    }
    log_order(client, "pause");
    control->orders->pause(control->orders_arg);
    answer_ok(client);
}

static void do_resume(struct control_client *client, const struct control_request *request)
{
    struct control *control = client->control;
    if (control->service->state != SERVICE_RUNNING || !control->fleet->paused) {
        control_answer_error(client, "it is not paused");
        return;
    }
    log_order(client, "resume");
    control->orders->resume(control->orders_arg);
    answer_ok(client);
}

static void do_loglevel(struct control_client *client, const struct control_request *request)
{
    struct control *control = client->control;
    const char *before = log_level_name(log_level()), *name = log_level_name((enum log_level)request->number);
    char order[48];
    snprintf(order, sizeof(order), "loglevel %s", name);
    log_order(client, order);
    control->orders->set_log_level(control->orders_arg, (int)request->number);
    struct control_answer a;
    struct json_out *j = control_answer_begin(&a, true);
    json_string(j, "level", name);
    json_string(j, "before", before);
    control_answer_end(&a, client);
}

static void do_stop(struct control_client *client, const struct control_request *request)
{
    struct control *control = client->control;
    log_order(client, request->quick ? "stop quick" : "stop");
    answer_ok(client);
    client->waits = CONTROL_WAIT_STOP;
    control->orders->stop(control->orders_arg, request->quick);
}

static void do_reopen(struct control_client *client, const struct control_request *request)
{
    const struct control *control = client->control;
    log_order(client, "reopen");
    if (control->orders->reopen_logs(control->orders_arg) < 0)
        control_answer_error(client, "the error log cannot be opened again; see the log");
    else
        answer_ok(client);
}

void control_do(struct control_client *client, const struct control_request *request)
{
    static void (*const table[CONTROL_N_COMMANDS])(struct control_client *, const struct control_request *) = {
        [CONTROL_STATUS] = do_status,   [CONTROL_WORKERS] = do_workers, [CONTROL_TOP] = do_top,
        [CONTROL_RELOAD] = do_reload,   [CONTROL_SCALE] = do_scale,     [CONTROL_STOP] = do_stop,
        [CONTROL_REOPEN] = do_reopen,   [CONTROL_STACKS] = do_stacks,   [CONTROL_CONFIG] = do_config,
        [CONTROL_METRICS] = do_metrics, [CONTROL_TASKS] = do_tasks,     [CONTROL_RESTART] = do_restart,
        [CONTROL_PAUSE] = do_pause,     [CONTROL_RESUME] = do_resume,   [CONTROL_LOGLEVEL] = do_loglevel,
    };
    table[request->command](client, request);
}
