/* SPDX-License-Identifier: BSD-3-Clause */
/* scripted.c: see scripted.h. */
#include "tests/unit/scripted.h"

#include <stdio.h>
#include <stdlib.h>

struct rig rig;
struct seen seen;

void answer(struct req *r, const char *text)
{
    struct resp_head head = { .status = 200 };
    seen.result = resp_start(r, &head);
    if (seen.result == RESP_SENT)
        seen.result = resp_body(r, span_of(text), false);
}

static void on_request(struct handler *h, struct req *r)
{
    struct span path = req_span(r, r->path);
    seen.requests++;
    seen.req = r;
    if (!span_eq(path, SPAN("/hold")))
        answer(r, "ok");
}

static void on_body(struct req *r)
{
    seen.bodies++;
}

static void on_drained(struct req *r)
{
    seen.drained++;
}

static void on_peer_eof(struct req *r)
{
    seen.eofs++;
}

static void on_end(struct req *r, enum req_end why)
{
    seen.ends++;
    seen.end = why;
    if (seen.req == r)
        seen.req = NULL;
}

static const struct handler_ops ops = {
    .name = "scripted",
    .on_request = on_request,
    .on_body = on_body,
    .on_drained = on_drained,
    .on_peer_eof = on_peer_eof,
    .on_end = on_end,
};

void scripted_init(void)
{
    static struct handler handler = { &ops };
    rig_init(&rig, &handler);
}

void fresh(struct peer *p)
{
    memset(&seen, 0, sizeof seen);
    peer_open(p, &rig);
}

void fresh_narrow(struct peer *p)
{
    memset(&seen, 0, sizeof seen);
    peer_open_narrow(p, &rig);
}

struct peer held(const char *request)
{
    struct peer p;
    fresh(&p);
    peer_say(&p, request);
    if (!seen.req) {
        printf("nothing is held of: %s\n0 passed, 1 failed\n", request);
        exit(1);
    }
    return p;
}

enum resp_result start(unsigned status, const char *length, bool trailers)
{
    struct resp_field f = { SPAN("Content-Length"), span_of(length) };
    struct resp_head head = { .status = status, .fields = &f, .n_fields = length != NULL, .trailers = trailers };
    return resp_start(seen.req, &head);
}
