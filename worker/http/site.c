/* SPDX-License-Identifier: BSD-3-Clause */
/* site.c: makes and frees what the requests of one worker have in common. */
#include "worker/http/site.h"

#include "conf/conf.h"
#include "worker/http/held.h"

int site_init(struct site *site, const struct conf *conf, struct event_base *base)
{
    *site = (struct site){ 0 };
    site->slow_ns = conf->log.slow_request ? conf->log.slow_request * 1000000 : UINT64_MAX;
    return (site->held = held_new(base, conf->http.head_delay)) ? 0 : -1;
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
    held_free(site->held);
    site->held = NULL;
}
