/* route.c: see route.h. Hands a request over before anybody has touched it, and is out of the way from then on: later
 * calls go to the chosen handler directly. Must never look into more than the path. */
#include "worker/http/route.h"

#include <stdlib.h>

#include "worker/http/handler.h"
#include "worker/http/percent.h"
#include "worker/http/req.h"
#include "worker/net/conn.h"

struct route {
    struct span prefix;
    struct handler *handler;
    void (*done)(struct handler *h);
};

struct router {
    struct handler handler; /* first */
    struct handler *rest;
    struct route *v; /* longest prefix first */
    size_t n;
};

size_t route_match(struct span prefix, struct span path)
{
    size_t at = 0;
    for (size_t i = 0; i < prefix.n; i++) {
        if (at == path.n)
            return 0;
        int ch = (unsigned char)path.p[at];
        size_t used = 1;
        if (ch == '%') {
            if ((ch = percent_byte(path.p + at, path.n - at)) < 0 || ch == '/')
                return 0;
            used = 3;
        }
        if (ch != (unsigned char)prefix.p[i])
            return 0;
        at += used;
    }
    return at == path.n || path.p[at] == '/' ? at : 0;
}

static void on_request(struct handler *h, struct req *r)
{
    struct router *t = (struct router *)h;
    struct span path = req_span(r, r->path);
    struct handler *to = t->rest;
    for (size_t i = 0; i < t->n; i++) {
        if (route_match(t->v[i].prefix, path)) {
            to = t->v[i].handler;
            break;
        }
    }
    r->handler = to;
    to->ops->on_request(to, r);
}

/* conn->user is the application's: it learns of the end of every connection. */
static void on_conn_close(struct handler *h, struct conn *c)
{
    struct handler *rest = ((struct router *)h)->rest;
    if (rest->ops->on_conn_close)
        rest->ops->on_conn_close(rest, c);
}

/* The other calls follow on_request, which put another handler in the place of this one. */
static const struct handler_ops router_ops = {
    .name = "router",
    .on_request = on_request,
    .on_conn_close = on_conn_close,
};

struct router *router_new(void)
{
    struct router *t = calloc(1, sizeof *t);
    if (t)
        t->handler.ops = &router_ops;
    return t;
}

int router_add(struct router *t, const char *prefix, struct handler *h, void (*done)(struct handler *h))
{
    struct route *v = realloc(t->v, (t->n + 1) * sizeof *v);
    if (!v)
        return -1;
    t->v = v;
    struct span text = span_of(prefix);
    size_t at = t->n;
    for (; at && v[at - 1].prefix.n < text.n; at--)
        v[at] = v[at - 1];
    v[at] = (struct route){ text, h, done };
    t->n++;
    return 0;
}

struct handler *router_handler(struct router *t, struct handler *rest)
{
    t->rest = rest;
    return &t->handler;
}

void router_free(struct router *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].done)
            t->v[i].done(t->v[i].handler);
    free(t->v);
    free(t);
}
