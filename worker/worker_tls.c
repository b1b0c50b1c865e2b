/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_tls.c: the certificates of a worker, where something listens with TLS. */
#include "common/heritage.h"
#include "worker/http1/h1_conn.h"
#include "worker/tls/tls.h"
#include "worker/protocols.h"
#include "worker/worker.h"

int worker_tls_start(struct worker *w, struct worker_failure *ret)
{
    char why[TLS_WHY];
    if (!w->heritage->vault)
        return 0;
    w->net.not_tls = &proto_h1_not_tls;
    w->net.tls = tls_new(&w->net, w->heritage->vault, w->heritage->tickets, protocols_speaks, why);
    return w->net.tls ? 0 : worker_failed(ret, WORKER_EXIT_CONF, why);
}

void worker_tls_take(struct worker *w)
{
    if (w->net.tls)
        tls_take(w->net.tls);
}
