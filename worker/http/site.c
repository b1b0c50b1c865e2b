/* SPDX-License-Identifier: BSD-3-Clause */
/* site.c: makes and frees what the requests of one worker have in common. */
#include "worker/http/site.h"

#include <string.h>

#include "common/log.h"
#include "common/redact.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/added_fields.h"
#include "worker/http/held.h"
#include "worker/http/req.h"
#include "worker/http/tracing.h"

int site_init(struct site *site, const struct conf *conf, struct event_base *base)
{
    *site = (struct site){ 0 };
    site->slow_ns = conf->log.slow_request ? conf->log.slow_request * 1000000 : UINT64_MAX;
    site->hidden = &conf->log.redact;
    if (added_fields_new(&conf->http, &site->added) < 0 || tracing_new(&conf->http, &site->tracing) < 0)
        return -1;
    return (site->held = held_new(base, conf->http.head_delay)) ? 0 : -1;
}

/* True for the first one of this name. */
static bool is_new(struct site *site, const char *name)
{
    size_t i = 0;
    while (i < SITE_REFUSALS && site->refused[i] && strcmp(site->refused[i], name) != 0)
        i++;
    if (i == SITE_REFUSALS || site->refused[i])
        return false;
    site->refused[i] = name;
    return true;
}

void site_refuses(const struct conn *c, const char *client, const char *name, unsigned status, const char *why)
{
    bool first = is_new(site_of(c), name);
    score_add64(&c->net->score->requests_refused, 1);
    log_at(first ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "%s: request refused: %s (%u)%s%s%s",
           *client ? client : "a Unix socket", name, status, why ? ": " : "", why ? why : "",
           first ? "; further ones of this kind are logged at level debug" : "");
}

size_t site_show_target(const struct req *r, char *to, size_t size)
{
    const struct conf_list *hidden = site_of(r->conn)->hidden;
    return redact(to, size, req_span(r, r->target), hidden->v, hidden->n);
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
    added_fields_free(site->added);
    site->added = NULL;
    tracing_free(site->tracing);
    site->tracing = NULL;
    held_free(site->held);
    site->held = NULL;
}
