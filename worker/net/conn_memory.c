/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_memory.c: what the buffers of a connection hold (memory.h), and memory that goes back to the system. */
#include <stddef.h>

#include "conf/conf.h"
#include "worker/net/conn_priv.h"

#define TRIM_MS 1000

static size_t weight(const struct conn *c)
{
    return c->in.cap + c->out.cap;
}

void conn_weigh(struct conn *c)
{
    memory_keep(&c->net->memory, &c->share, &c->buffers, weight(c));
    if (unlikely(c->lent.n != c->lent_kept))
        memory_lend(&c->net->memory, &c->share, &c->lent_kept, c->lent.n);
}

bool conn_may_keep_input(struct conn *c)
{
    return memory_hold(&c->net->memory, &c->share, &c->buffers, weight(c));
}

static void on_trim(struct deadline *d)
{
    struct net *net = (struct net *)(void *)((char *)d - offsetof(struct net, trim));
    if (memory_wants_trim(&net->memory))
        memory_trim(&net->memory);
}

void conn_memory_init(struct net *net)
{
    const struct conf *conf = net->conf;
    uint64_t message = conf->websocket.max_message_size, window = conf->http.http2_initial_window_size;
    memory_init(&net->memory, conf->http.limit_memory, conf->server.worker_connections,
                2 * (message > window ? message : window), net->score);
    deadline_init(&net->trim, on_trim);
}

/* Not at once: what was given back is often wanted again. */
void conn_trim_soon(struct net *net)
{
    if (!net->trim.at_ms)
        deadline_set(&net->wheel, &net->trim, TRIM_MS);
}
