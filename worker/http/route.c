/* SPDX-License-Identifier: BSD-3-Clause */
/* route.c: chooses the handler of a request by its path, before any other code touches the request; later calls go to
 * the chosen handler directly. Must never look at anything but the path. */
#include "worker/http/route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "worker/http/handler.h"
#include "worker/http/percent.h"
#include "worker/http/req.h"
#include "worker/net/conn.h"

struct route {
    struct span prefix;
    struct handler *handler;
    void (*done)(struct handler *h);
    uint8_t mount;
};

struct router {
    struct handler handler; /* first */
    struct handler *rest, *unrouted;
    struct route *v; /* longest prefix first */
    size_t n;
    struct buf normal; /* room for a path */
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

static struct handler *find(const struct router *t, struct span path)
{
    for (size_t i = 0; i < t->n; i++)
        if (route_match(t->v[i].prefix, path))
            return t->v[i].handler;
    return t->rest;
}

/* The same for a path that is decoded. */
static struct handler *find_decoded(const struct router *t, struct span path)
{
    for (size_t i = 0; i < t->n; i++) {
        struct span prefix = t->v[i].prefix;
        if (path.n >= prefix.n && !memcmp(path.p, prefix.p, prefix.n) &&
            (path.n == prefix.n || path.p[prefix.n] == '/'))
            return t->v[i].handler;
    }
    return t->rest;
}

/* Whether code that resolves dots, empty segments or encoded slashes may read it as another path. */
static bool is_ambiguous(struct span path)
{
    for (size_t i = 0; i < path.n; i++) {
        char ch = path.p[i], next = i + 1 < path.n ? path.p[i + 1] : 0;
        if (ch == '%' || (ch == '/' && (next == '/' || next == '.')))
            return true;
    }
    return false;
}

static unsigned char next_byte(struct span path, size_t *at)
{
    int byte = path.p[*at] == '%' ? percent_byte(path.p + *at, path.n - *at) : -1;
    unsigned char ch = byte < 0 ? (unsigned char)path.p[*at] : (unsigned char)byte;
    *at += byte < 0 ? 1 : 3;
    return ch;
}

/* Applies the last segment, which begins with its slash at `mark`, to the n bytes "/a/b"; returns how many are left. */
static size_t resolve_last(const char *path, size_t mark, size_t n)
{
    const char *segment = path + mark + 1;
    size_t length = n - mark - 1;
    if (!length || (length == 1 && segment[0] == '.'))
        return mark;
    if (length != 2 || memcmp(segment, "..", 2) != 0)
        return n;
    while (mark && path[--mark] != '/')
        ;
    return mark;
}

/* Decoded, without empty segments, dot segments resolved (RFC 3986 5.2.4), no slash at its end; `to` has room for one
 * byte more than the path. */
static struct span normalise(struct span path, char *to)
{
    size_t n = 0, at = 0;
    while (at < path.n) {
        size_t mark = n;
        to[n++] = '/';
        for (unsigned char ch; at < path.n && (ch = next_byte(path, &at)) != '/';)
            to[n++] = (char)ch;
        n = resolve_last(to, mark, n);
    }
    return (struct span){ to, n };
}

/* The one, unless another one would have the path written in another way. */
static struct handler *find_surely(struct router *t, struct span path)
{
    struct handler *to = find(t, path);
    char *room = is_ambiguous(path) ? buf_room(&t->normal, path.n + 1) : NULL;
    if (!room)
        return is_ambiguous(path) ? t->unrouted : to;
    return find_decoded(t, normalise(path, room)) == to ? to : t->unrouted;
}

static uint8_t mount_of(const struct router *t, const struct handler *h)
{
    size_t i = 0;
    while (i + 1 < t->n && t->v[i].handler != h)
        i++;
    return t->v[i].mount;
}

static void on_request(struct handler *h, struct req *r)
{
    struct router *t = (struct router *)h;
    struct handler *to = find_surely(t, req_span(r, r->path));
    r->handler = to;
    r->mount = to == t->rest ? 0 : to == t->unrouted ? REQ_NO_MOUNT : mount_of(t, to);
    to->ops->on_request(to, r);
}

static void tell_close(struct handler *h, struct conn *c)
{
    if (h->ops->on_conn_close)
        h->ops->on_conn_close(h, c);
}

/* Any of them may have had a request on it. */
static void on_conn_close(struct handler *h, struct conn *c)
{
    struct router *t = (struct router *)h;
    tell_close(t->rest, c);
    for (size_t i = 0; i < t->n && c->user; i++)
        tell_close(t->v[i].handler, c);
}

/* The other calls follow on_request, which put another handler in the place of this one. */
static const struct handler_ops router_ops = {
    .name = "router",
    .on_request = on_request,
    .on_conn_close = on_conn_close,
};

struct router *router_new(void)
{
    struct router *t = calloc(1, sizeof(*t));
    if (t)
        t->handler.ops = &router_ops;
    return t;
}

int router_add(struct router *t, const char *prefix, struct handler *h, void (*done)(struct handler *h), uint8_t mount)
{
    struct route *v = realloc(t->v, (t->n + 1) * sizeof(*v));
    if (!v)
        return -1;
    t->v = v;
    struct span text = span_of(prefix);
    size_t at = t->n;
    for (; at && v[at - 1].prefix.n < text.n; at--)
        v[at] = v[at - 1];
    v[at] = (struct route){ text, h, done, mount };
    t->n++;
    return 0;
}

struct handler *router_handler(struct router *t, struct handler *rest, struct handler *unrouted)
{
    t->rest = rest;
    t->unrouted = unrouted;
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
    buf_release(&t->normal);
    free(t);
}
