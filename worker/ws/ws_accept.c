/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_accept.c: from a held request to an open session, and what is said to those that are refused. */
#include <stdio.h>
#include <stdlib.h>

#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/net/conn.h"
#include "worker/ws/ws_deflate.h"
#include "worker/ws/ws_key.h"
#include "worker/ws/ws_session_priv.h"
#include "worker/ws/ws_worker.h"

#define OWN_FIELDS 3 /* Sec-WebSocket-Accept, -Protocol, -Extensions */
#define FEW_FIELDS 16

void ws_refuse(struct req *r, const struct ws_verdict *verdict)
{
    char text[128], length[16];
    int n = snprintf(text, sizeof text, "%u %s: %s\n", verdict->status, resp_reason(verdict->status), verdict->why);
    int m = snprintf(length, sizeof length, "%d", n);
    struct resp_field fields[] = {
        { SPAN("content-type"), SPAN("text/plain; charset=utf-8") },
        { SPAN("content-length"), { length, (size_t)m } },
        { SPAN("connection"), SPAN("close") },
        { SPAN("sec-websocket-version"), SPAN("13") },
        { SPAN("upgrade"), SPAN("websocket") }, /* RFC 9110 15.5.22 */
    };
    size_t n_fields = verdict->status == 426 ? 5 : 3;
    struct resp_head head = { .status = verdict->status, .fields = fields, .n_fields = n_fields };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, (struct span){ text, (size_t)n }, false);
}

static bool is_offered(const struct req *r, struct span subprotocol)
{
    struct ws_offer cursor = { 0 };
    struct span name;
    while (ws_next_subprotocol(r, &cursor, &name)) {
        if (span_eq(name, subprotocol))
            return true;
    }
    return false;
}

/* Fields of the handshake are ours; the application says what it wants of them by other means. */
static bool has_own_field(const struct ws_accept *a)
{
    static const struct span ours = { "sec-websocket-", 14 };
    for (size_t i = 0; i < a->n_fields; i++) {
        struct span name = a->fields[i].name;
        if (name.n >= ours.n && span_ieq((struct span){ name.p, ours.n }, ours))
            return true;
    }
    return false;
}

static enum ws_accepted accepted_of(enum resp_result result)
{
    switch (result) {
    case RESP_SENT:
    case RESP_LATER:
        return WS_OPENED;
    case RESP_BAD_FIELD:
    case RESP_BAD_LENGTH:
    case RESP_TWO_LENGTHS:
        return WS_BAD_FIELD;
    case RESP_NO_MEMORY:
        return WS_NO_MEMORY;
    default:
        return WS_CLIENT_GONE;
    }
}

/* Sends the 101 (unless the engine does) and hands the connection to the session. */
static enum ws_accepted change_over(struct req *r, const struct ws_accept *a, struct ws *ws,
                                    const struct ws_opening *opening)
{
    char proof[WS_ACCEPT_LENGTH];
    struct resp_field few[FEW_FIELDS], *fields = few;
    if (a->n_fields + OWN_FIELDS > FEW_FIELDS && !(fields = malloc((a->n_fields + OWN_FIELDS) * sizeof *fields)))
        return WS_NO_MEMORY;
    size_t n = 0;
    if (!r->protocol.n) { /* RFC 8441 5: HTTP/2 needs no proof */
        ws_accept_key(opening->key, proof);
        fields[n++] = (struct resp_field){ SPAN("sec-websocket-accept"), { proof, sizeof proof } };
    }
    if (a->subprotocol.n)
        fields[n++] = (struct resp_field){ SPAN("sec-websocket-protocol"), a->subprotocol };
    if (opening->extensions.n)
        fields[n++] = (struct resp_field){ SPAN("sec-websocket-extensions"), opening->extensions };
    if (a->n_fields)
        memcpy(fields + n, a->fields, a->n_fields * sizeof *fields);
    struct resp_head head = { .status = 101, .fields = fields, .n_fields = n + a->n_fields };
    enum resp_result result = resp_upgrade(r, &head, SPAN("websocket"), &proto_ws, ws, &ws->link.conn);
    if (fields != few)
        free(fields);
    return accepted_of(result);
}

/* permessage-deflate, if the client offers it in a way that we can keep to. Without memory there is none. */
static struct span agree_on_deflate(struct req *r, struct ws *ws, char field[WS_DEFLATE_FIELD])
{
    struct ws_deflate_pool *pool = ws->worker->deflate;
    struct ws_deflate_params params;
    size_t n;
    if (!r->conn->net->conf->websocket.per_message_deflate)
        return SPAN("");
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (!span_eq(req_span(r, r->fields[i].name), SPAN("sec-websocket-extensions")) ||
            !ws_deflate_negotiate(pool, req_span(r, r->fields[i].value), &params, field, &n))
            continue;
        ws->deflate = ws_deflate_new(pool, &params);
        ws->link.deflate = ws->deflate != NULL;
        return ws->deflate ? (struct span){ field, n } : SPAN("");
    }
    return SPAN("");
}

static void forget(struct ws *ws)
{
    ws_deflate_free(ws->deflate);
    free(ws);
}

enum ws_accepted ws_accept(struct req *r, const struct ws_accept *a, struct ws **ret_ws)
{
    struct ws_worker *worker = ws_worker_of(r->conn->net);
    if (a->subprotocol.n && !is_offered(r, a->subprotocol))
        return WS_BAD_SUBPROTOCOL;
    if (has_own_field(a))
        return WS_BAD_FIELD;
    struct ws *ws = worker ? calloc(1, sizeof *ws) : NULL;
    if (!ws)
        return WS_NO_MEMORY;
    ws->link.conn = r->conn;
    ws->link.engine = ws_worker_engine(worker, r->conn, &ws->link.shared);
    ws->ops = a->ops;
    ws->user = a->user;
    ws->worker = worker;
    char field[WS_DEFLATE_FIELD];
    struct ws_opening opening = { .key = req_field(r, SPAN("sec-websocket-key")),
                                  .extensions = agree_on_deflate(r, ws, field),
                                  .subprotocol = a->subprotocol,
                                  .fields = a->fields,
                                  .n_fields = a->n_fields };
    if (ws->link.engine->open(&ws->link, &opening) < 0) {
        forget(ws);
        return WS_NO_MEMORY;
    }
    enum ws_accepted accepted = change_over(r, a, ws, &opening);
    if (accepted != WS_OPENED) {
        ws->link.engine->free(&ws->link);
        forget(ws);
        return accepted;
    }
    *ret_ws = ws;
    score_add64(&worker->net->score->ws_opened, 1);
    score_add32(&worker->net->score->websockets, 1);
    ws_session_begin(ws);
    return WS_OPENED;
}
