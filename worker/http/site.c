/* SPDX-License-Identifier: BSD-3-Clause */
/* site.c: makes and frees what the requests of one worker have in common. */
#include "worker/http/site.h"

#include "conf/conf.h"

void site_init(struct site *site, const struct conf *conf)
{
    *site = (struct site){ 0 };
    site->slow_ns = conf->log.slow_request ? conf->log.slow_request * 1000000 : UINT64_MAX;
}

static void share_done(struct site_share *share)
{
    if (share->p)
        share->free(share->p);
    *share = (struct site_share){ 0 };
}

void site_done(struct site *site)
{
    share_done(&site->h1);
    share_done(&site->h2);
    share_done(&site->ws);
}
