/* SPDX-License-Identifier: BSD-3-Clause */
/* protocols.c: see protocols.h. PROXY protocol and TLS first where the bind says so; then what ALPN agreed on,
 * else HTTP/1. */
#include "worker/protocols.h"

#include <config.h>
#include <string.h>

#include "common/heritage.h"
#include "conf/conf.h"
#include "worker/http1/h1_conn.h"
#include "worker/http2/h2_conn.h"
#include "worker/net/conn.h"
#include "worker/net/proxy_step.h"
#include "worker/tls/tls.h"

/* By the names of ALPN. */
static const struct {
    const char *alpn;
    const struct proto_ops *proto;
} protocols[] = {
#if TINE_HTTP2
    { "h2", &proto_h2 },
#endif
    { "http/1.1", &proto_h1 },
};

static const struct proto_ops *agreed_on(const struct conn *c)
{
    struct span alpn = tls_alpn(c);
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (span_eq(alpn, span_of(protocols[i].alpn)))
            return protocols[i].proto;
    return &proto_h1;
}

const struct proto_ops *protocols_choose(struct conn *c)
{
    if (c->listener->proxy && !c->proto)
        return &proto_proxy;
    if (!c->listener->tls)
        return &proto_h1;
    return c->transport == &transport_tls ? agreed_on(c) : &proto_tls;
}

bool protocols_speaks(const struct conf *conf, const char *alpn)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(protocols[i].alpn, alpn) == 0)
            return conf->http.http2 || protocols[i].proto == &proto_h1;
    return false;
}

const struct proto_ops *protocols_http2(void)
{
#if TINE_HTTP2
    return &proto_h2;
#else
    return NULL;
#endif
}
