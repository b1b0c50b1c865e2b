/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_drain.c: see asgi_drain.h. */
#include "worker/asgi/asgi_drain.h"

#include <string.h>
#include <strings.h>

#include "worker/app/draining.h"
#include "worker/asgi/asgi_exchange.h"
#include "worker/asgi/asgi_state.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"

int asgi_drain_init(struct asgi *asgi)
{
    LIST_INIT(&asgi->streams);
    return (asgi->draining = draining_new(DRAINING_TASKS)) ? 0 : -1;
}

void asgi_drain_done(struct asgi *asgi)
{
    Py_CLEAR(asgi->draining);
}

static bool is_word(struct span s, struct span word)
{
    return s.n == word.n && strncasecmp(s.p, word.p, word.n) == 0;
}

/* text/event-stream, with or without parameters. */
static bool is_event_stream(const struct resp_head *head)
{
    static const char type[] = "text/event-stream";
    const size_t n = sizeof type - 1;
    for (size_t i = 0; i < head->n_fields; i++) {
        struct span value = head->fields[i].value;
        if (is_word(head->fields[i].name, SPAN("content-type")))
            return value.n >= n && strncasecmp(value.p, type, n) == 0 && (value.n == n || strchr("; \t", value.p[n]));
    }
    return false;
}

void asgi_drain_started(struct exchange *x, const struct resp_head *head)
{
    struct asgi *asgi = x->channel.asgi;
    if (!x->req || !span_eq(req_span(x->req, x->req->method), SPAN("GET")) || !is_event_stream(head))
        return;
    x->drain = asgi->ends_streams ? EXCHANGE_TOLD : EXCHANGE_STREAM;
    LIST_INSERT_HEAD(&asgi->streams, x, stream);
}

void asgi_drain_forget(struct exchange *x)
{
    if (x->drain == EXCHANGE_OTHER)
        return;
    LIST_REMOVE(x, stream);
    x->drain = EXCHANGE_OTHER;
}

bool asgi_drain_disconnects(const struct exchange *x)
{
    return x->drain == EXCHANGE_TOLD;
}

void asgi_drain(struct asgi *asgi, bool service_stops)
{
    struct exchange *x;
    draining_tell(asgi->draining);
    if (!service_stops)
        return;
    asgi->ends_streams = true;
    LIST_FOREACH (x, &asgi->streams, stream) { /* waking runs none of the application's code */
        x->drain = EXCHANGE_TOLD;
        channel_wake(&x->channel);
    }
}
