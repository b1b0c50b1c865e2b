/* protocols.c: HTTP/1 on everything, for now; TLS with ALPN and h2c binds choose here later. */
#include "worker/protocols.h"

#include "worker/http/h1_conn.h"

const struct proto_ops *protocols_choose(struct conn *c)
{
    (void)c;
    return &proto_h1;
}
