/* SPDX-License-Identifier: BSD-3-Clause */
/* route.h: which handler answers a request: a table of path prefixes in front of the application. Used only when there is
 * more than one handler; with one, site->handler is that one and nothing is looked up.
 *
 * The longest prefix wins. "/static" is a prefix of "/static" and "/static/x", not of "/staticx". The path is compared
 * decoded ("/%73tatic/x" has it too), except that an encoded slash is never a separator.
 *
 * A path that would go to another handler if its encoded slashes were slashes, its dot segments resolved and its empty
 * segments left out ("/x/../api/y", "//api/y", "/api%2fy") goes to none of them: whoever guards /api need not know
 * how every other application reads a path, nor they how we do.
 */
#ifndef TINE_HTTP_ROUTE_H
#define TINE_HTTP_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "common/span.h"

struct handler;
struct router;

/* NULL: out of memory. */
struct router *router_new(void);
/* `prefix` ("/static") must outlive the router; `done`, which may be NULL, gives the handler back when the router is
 * freed; `mount` is what req->mount becomes. 0, or -1: out of memory, nothing taken. */
int router_add(struct router *t, const char *prefix, struct handler *h, void (*done)(struct handler *h), uint8_t mount)
    __attribute__((warn_unused_result));
/* `rest` answers what no prefix fits, `unrouted` what goes to none of them. All of them learn of the end of
 * connections. Returns the router as a handler. */
struct handler *router_handler(struct router *t, struct handler *rest, struct handler *unrouted);
void router_free(struct router *t);

/* How many bytes of the undecoded path the prefix takes; 0: it is no prefix of it. */
size_t route_match(struct span prefix, struct span path);

#endif
