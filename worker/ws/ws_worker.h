/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_worker.h: what all WebSockets of a worker share; made with the first one. */
#ifndef TINE_WS_WS_WORKER_H
#define TINE_WS_WS_WORKER_H

struct conn;
struct net;
struct ws_deflate_pool;
struct ws_engine_ops;

struct ws_worker {
    struct net *net;
    struct ws_deflate_pool *deflate;
    void *wslay; /* of ws_engine_wslay.start() */
    void *lws;   /* of ws_engine_lws.start(); NULL: not asked for, or it failed */
};

/* NULL: out of memory. */
struct ws_worker *ws_worker_of(struct net *net);
/* The engine for a connection, by `[websocket] engine` and what the transport allows. */
const struct ws_engine_ops *ws_worker_engine(struct ws_worker *w, const struct conn *c, void **ret_shared);

#endif
