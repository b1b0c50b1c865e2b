/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_limit.c: see conn_limit.h. Whoever is over the limit is still told so, up to twice as many connections; idle
 * ones end with http.header_timeout. */
#include "worker/net/conn_limit.h"

#include "common/heritage.h"
#include "common/limits.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/net/conn.h"

int conn_limit_begin(struct conn *c)
{
    const struct net *net = c->net;
    const struct conf *conf = net->conf;
    unsigned most = conf->limit.connections, open;
    if (!most || !net->limits || conf_nets_match(&conf->http.forwarded_allow_ips, &c->peer.sa, c->listener->guarded) ||
        conf_nets_match(&conf->limit.exempt, &c->peer.sa, c->listener->guarded))
        return 0;
    int place = limits_open(net->limits, limits_client(net->limits, &c->peer.sa), net->slot, &open);
    c->limit_place = (uint16_t)(place + 1);
    if (place < 0 || open <= most)
        return 0;
    score_add64(&net->score->limited_connections, 1);
    c->over_limit = true;
    return open > 2 * most ? -1 : 0;
}

void conn_limit_end(struct conn *c)
{
    if (c->limit_place)
        limits_close(c->net->limits, c->limit_place - 1, c->net->slot);
    c->limit_place = 0;
}
