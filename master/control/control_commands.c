/* SPDX-License-Identifier: BSD-3-Clause */
/* control_commands.c: what each command does and what is answered. Orders go the same way as those
 * of the signals; each is logged with who gave it. */
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/json_out.h"
#include "common/log.h"
#include "conf/conf_load.h"
#include "master/control/control.h"
#include "master/fleet/generation.h"
#include "master/master.h"
#include "master/metrics/openmetrics.h"
#include "master/metrics/snapshot.h"
#include "master/fleet/stacks.h"

/* --- answers --- */

struct answer {
    struct buf line;
    struct json_out j;
};

static struct json_out *begin(struct answer *a, bool ok)
{
    *a = (struct answer){ 0 };
    json_begin_document(&a->j, &a->line);
    json_object(&a->j, NULL);
    json_bool(&a->j, "ok", ok);
    return &a->j;
}

static void end(struct answer *a, struct control_client *client)
{
    json_end_object(&a->j);
    if (json_end_document(&a->j) < 0)
        control_answer_error(client, "out of memory");
    else
        control_client_answer(client, &a->line);
    buf_release(&a->line);
}

/* Also without memory for more. */
void control_answer_error(struct control_client *client, const char *why)
{
    static const char poor[] = "{\"ok\":false,\"error\":\"out of memory\"}";
    struct answer a;
    struct json_out *j = begin(&a, false);
    json_string(j, "error", why);
    json_end_object(j);
    if (json_end_document(j) < 0) {
        buf_release(&a.line);
        if (buf_add(&a.line, poor, sizeof(poor) - 1) < 0)
            log_error("control: out of memory for an answer");
    }
    control_client_answer(client, &a.line);
    buf_release(&a.line);
}

static void answer_ok(struct control_client *client)
{
    struct answer a;
    begin(&a, true);
    end(&a, client);
}

static void log_order(const struct control_client *client, const char *order)
{
    log_info("control socket: %s (asked by process %d of user %u)", order, (int)client->pid, (unsigned)client->uid);
}

/* --- questions --- */

static void answer_snapshot(struct control_client *client, bool service, bool workers)
{
    struct snapshot snapshot;
    struct answer a;
    if (snapshot_take(client->master, &snapshot) < 0) {
        control_answer_error(client, "out of memory");
        return;
    }
    struct json_out *j = begin(&a, true);
    if (service)
        snapshot_write_service(&snapshot, j);
    if (workers)
        snapshot_write_workers(&snapshot, service, j);
    end(&a, client);
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
static void answer_text(struct control_client *client, int (*write)(const struct master *, FILE *))
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    int failed = !out || write(client->master, out) < 0;
    if (out)
        failed |= fclose(out);
    if (failed) {
        control_answer_error(client, "out of memory");
    } else {
        struct answer a;
        json_text(begin(&a, true), "text", text, n);
        end(&a, client);
    }
    free(text);
}

static int write_config(const struct master *master, FILE *out)
{
    conf_dump(master->current->loaded, out);
    return 0;
}

static void do_config(struct control_client *client, const struct control_request *request)
{
    answer_text(client, write_config);
}

static int write_metrics(const struct master *master, FILE *out)
{
    struct snapshot snapshot;
    if (snapshot_take(master, &snapshot) < 0)
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
    stacks_ask(client->master, client, request->number);
}

/* --- orders --- */

/* The reload that begins next is the first that sees what the client means: one under way has read
 * the files before. */
static void do_reload(struct control_client *client, const struct control_request *request)
{
    struct master *master = client->master;
    if (master->state == MASTER_STOPPING || master->state == MASTER_LEAVING) {
        control_answer_error(client, "the service stops");
        return;
    }
    log_order(client, "reload");
    client->waits = CONTROL_WAIT_RELOAD;
    client->reload = master->reload.begun + 1;
    reload_request(master);
}

static void do_scale(struct control_client *client, const struct control_request *request)
{
    struct master *master = client->master;
    unsigned before = master->current->target;
    char order[48];
    if (master->state == MASTER_STOPPING || master->state == MASTER_LEAVING) {
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
    master_scale_to(master, request->number);
    struct answer a;
    struct json_out *j = begin(&a, true);
    json_uint(j, "workers", request->number);
    json_uint(j, "before", before);
    end(&a, client);
}

static void do_stop(struct control_client *client, const struct control_request *request)
{
    log_order(client, request->quick ? "stop quick" : "stop");
    answer_ok(client);
    client->waits = CONTROL_WAIT_STOP;
    master_stop(client->master, request->quick);
}

static void do_reopen(struct control_client *client, const struct control_request *request)
{
    log_order(client, "reopen");
    if (master_reopen_logs(client->master) < 0)
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
        [CONTROL_METRICS] = do_metrics,
    };
    table[request->command](client, request);
}
