/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_worker.c: see ws_worker.h. The only list of engines. */
#include "worker/ws/ws_worker.h"

#include <config.h>
#include <stdlib.h>

#include "common/log.h"
#include "conf/conf.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"
#include "worker/ws/ws_deflate.h"
#include "worker/ws/ws_engine.h"

static void ws_worker_free(void *shared)
{
    struct ws_worker *w = shared;
    if (w->wslay)
        ws_engine_wslay.stop(w->wslay);
#if TINE_LIBWEBSOCKETS
    if (w->lws)
        ws_engine_lws.stop(w->lws);
#endif
    if (w->deflate)
        ws_deflate_pool_free(w->deflate);
    free(w);
}

/* Only where it is asked for by name, since it falls short of wslay (tine.ini(5)). */
static void start_lws(struct ws_worker *w)
{
    if (w->net->conf->websocket.engine != CONF_WS_ENGINE_LIBWEBSOCKETS)
        return;
#if TINE_LIBWEBSOCKETS
    if (!(w->lws = ws_engine_lws.start(w->net)))
        log_error("WebSockets are spoken by wslay instead");
#endif
}

struct ws_worker *ws_worker_of(struct net *net)
{
    struct site *site = net->site;
    if (site->ws.p)
        return site->ws.p;
    struct ws_worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->net = net;
    if (!(w->deflate = ws_deflate_pool_new()) || !(w->wslay = ws_engine_wslay.start(net))) {
        ws_worker_free(w);
        return NULL;
    }
    start_lws(w);
    site->ws.p = w;
    site->ws.free = ws_worker_free;
    return w;
}

const struct ws_engine_ops *ws_worker_engine(struct ws_worker *w, const struct conn *c, void **ret_shared)
{
#if TINE_LIBWEBSOCKETS
    if (w->lws && c->transport == &transport_tcp && !c->shared) {
        *ret_shared = w->lws;
        return &ws_engine_lws;
    }
#endif
    *ret_shared = w->wslay;
    return &ws_engine_wslay;
}
