/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_memory.c: what the buffers of a connection hold, and who has to go when the worker keeps too much for its clients
 * (memory.h). */
#include <stddef.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/net/conn_io.h"

#define TRIM_MS 1000
#define WARN_MS 10000

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

static size_t all_of(const struct conn *c)
{
    return c->share.held + c->share.lent;
}

/* Answers are on their way out of a connection that closes: they are not waited for. */
void conn_too_much(struct conn *c)
{
    if (c->state == CONN_OPEN && c->proto->on_too_much)
        c->proto->on_too_much(c);
    else
        conn_die(c, CONN_END_ABORTED);
    if (c->state != CONN_DEAD && all_of(c) > c->net->memory.small)
        conn_die(c, CONN_END_ABORTED);
}

static void warn(struct net *net)
{
    uint64_t now = clock_ms();
    if (net->warned_ms && now - net->warned_ms < WARN_MS)
        return;
    net->warned_ms = now;
    log_warning("%llu MB are kept for %u connections, which is all that http.limit_memory allows: those with the most "
                "are ended",
                (unsigned long long)((net->memory.held + net->memory.lent) >> 20), net->n_conns);
}

static size_t largest(const struct net *net)
{
    const struct conn *c;
    size_t most = 0;
    TAILQ_FOREACH (c, &net->conns, all) {
        if (c->state != CONN_DEAD && all_of(c) > most)
            most = all_of(c);
    }
    return most;
}

/* Those with more than half of what the largest has go until there is room, then those with more than a quarter, ...: few
 * walks for many connections. */
void conn_make_room(struct net *net)
{
    struct memory *m = &net->memory;
    warn(net);
    size_t going = 0; /* the dead hold it until they are swept */
    for (size_t most; !memory_has_room(m, going) && (most = largest(net)) > m->small;) {
        struct conn *c;
        TAILQ_FOREACH (c, &net->conns, all) {
            if (c->state == CONN_DEAD || all_of(c) <= m->small || all_of(c) <= most / 2)
                continue;
            score_add64(&net->score->memory_refused, 1);
            conn_too_much(c);
            going += c->state == CONN_DEAD ? all_of(c) : 0;
            if (memory_has_room(m, going))
                break;
        }
    }
    memory_made_room(m, going);
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
