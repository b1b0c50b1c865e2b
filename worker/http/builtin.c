/* SPDX-License-Identifier: BSD-3-Clause */
/* builtin.c: the handlers that need no Python: hello, echo and 404. Echo keeps the pace of the slower side: it takes
 * body bytes only when the output has room. */
#include "worker/http/builtin.h"

#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"

static void hello(struct req *r)
{
    static const struct resp_field fields[] = {
        { { "content-type", 12 }, { "text/plain", 10 } },
        { { "content-length", 14 }, { "13", 2 } },
    };
    struct resp_head head = { .status = 200, .fields = fields, .n_fields = 2 };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, SPAN("Hello, World!"), false);
}

/* Sends on what has arrived; waits for whichever side is slower. The request may have ended afterwards. */
static void echo_on(struct req *r)
{
    for (;;) {
        struct span bytes = req_body(r);
        bool last = req_body_ended(r);
        if (!bytes.n && !last) {
            req_body_want(r);
            return;
        }
        enum resp_result result = resp_body(r, bytes, !last);
        if (last || resp_failed(result))
            return;
        req_body_take(r, bytes.n);
        if (result == RESP_LATER)
            return;
    }
}

static void on_request(struct handler *handler, struct req *r)
{
    struct span method = req_span(r, r->method);
    if (!span_eq(method, SPAN("POST")) && !span_eq(method, SPAN("PUT"))) {
        hello(r);
        return;
    }
    if (!req_body_ended(r) && !buf_len(&r->body)) {
        req_body_want(r); /* the answer starts with the first bytes, so that 100-continue can come before */
        return;
    }
    static const struct resp_field type = { { "content-type", 12 }, { "application/octet-stream", 24 } };
    struct resp_head head = { .status = 200, .fields = &type, .n_fields = 1 };
    if (resp_start(r, &head) == RESP_SENT)
        echo_on(r);
}

static void on_body(struct req *r)
{
    if (r->state == REQ_RUNNING)
        on_request(r->handler, r);
    else
        echo_on(r);
}

static void on_peer_eof(struct req *r)
{
}

static void on_end(struct req *r, enum req_end why)
{
}

static const struct handler_ops ops = {
    .name = "builtin:hello",
    .on_request = on_request,
    .on_body = on_body,
    .on_drained = echo_on,
    .on_peer_eof = on_peer_eof,
    .on_end = on_end,
};

struct handler *builtin_hello(void)
{
    static const struct handler hello_handler = { &ops };
    return (struct handler *)(uintptr_t)&hello_handler;
}

/* --- 404 --- */

static void answer_not_found(struct handler *handler, struct req *r)
{
    static const struct resp_field fields[] = {
        { { "content-type", 12 }, { "text/plain; charset=utf-8", 25 } },
        { { "content-length", 14 }, { "14", 2 } },
    };
    struct resp_head head = { .status = 404, .fields = fields, .n_fields = 2 };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, SPAN("404 Not Found\n"), false);
}

static void on_nothing(struct req *r)
{
}

static const struct handler_ops not_found_ops = {
    .name = "builtin:not-found",
    .on_request = answer_not_found,
    .on_body = on_nothing,
    .on_drained = on_nothing,
    .on_peer_eof = on_nothing,
    .on_end = on_end,
};

struct handler *builtin_not_found(void)
{
    static const struct handler not_found = { &not_found_ops };
    return (struct handler *)(uintptr_t)&not_found;
}
