/* SPDX-License-Identifier: BSD-3-Clause */
/* added_fields.c: see added_fields.h. */
#include "worker/http/added_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_fields.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"

#define HSTS_ROOM 80

struct added_fields {
    char hsts[HSTS_ROOM]; /* the value; "": none */
    size_t n;
    struct resp_field v[];
};

static struct resp_field field_of(const char *text)
{
    size_t n = conf_field_name(text);
    struct span value = span_of(text + n + 1);
    return (struct resp_field){ { text, n }, span_trim(value) };
}

int added_fields_new(const struct conf_http *conf, struct added_fields **ret)
{
    static const char *const scopes[] = { "", "; includeSubDomains", "; includeSubDomains; preload" };
    const struct conf_list *list = &conf->response_headers;
    *ret = NULL;
    if (!list->n && !conf->hsts && !conf->request_id)
        return 0;
    struct added_fields *added = calloc(1, sizeof *added + list->n * sizeof added->v[0]);
    if (!added)
        return -1;
    for (; added->n < list->n; added->n++)
        added->v[added->n] = field_of(list->v[added->n]);
    if (conf->hsts)
        snprintf(added->hsts, sizeof added->hsts, "max-age=%llu%s", (unsigned long long)(conf->hsts / 1000),
                 scopes[conf->hsts_scope]);
    *ret = added;
    return 0;
}

void added_fields_free(struct added_fields *added)
{
    free(added);
}

static bool has(const struct resp_head *head, struct span name)
{
    for (size_t i = 0; i < head->n_fields; i++)
        if (span_ieq(head->fields[i].name, name))
            return true;
    return false;
}

struct resp_field *added_fields_join(const struct added_fields *added, const struct req *r, struct resp_head *head)
{
    static const struct span hsts = SPAN("strict-transport-security"), id = SPAN("x-request-id");
    bool upgrade = head->status == 101;
    size_t n = head->n_fields;
    struct resp_field *all = malloc((n + added->n + 2) * sizeof *all);
    if (!all)
        return NULL;
    if (n)
        memcpy(all, head->fields, n * sizeof *all);
    for (size_t i = 0; i < added->n && !upgrade; i++)
        if (!has(head, added->v[i].name))
            all[n++] = added->v[i];
    if (*added->hsts && !upgrade && r->https && !has(head, hsts)) /* RFC 6797 7.2: over a secure transport alone */
        all[n++] = (struct resp_field){ hsts, span_of(added->hsts) };
    if (r->id.n && !has(head, id))
        all[n++] = (struct resp_field){ id, req_span(r, r->id) };
    head->fields = all;
    head->n_fields = n;
    return all;
}
