/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_call.c: see wsgi_call.h. Holds memory only: which thread may touch what is said there. */
#include "worker/wsgi/wsgi_call.h"

#include <stdlib.h>

#include "common/fdutil.h"
#include "conf/conf.h"
#include "worker/app/app_report.h"
#include "worker/net/conn.h"
#include "worker/tls/tls.h"
#include "worker/wsgi/wsgi_state.h"

/* Of the client's certificate, where the configuration asks for one. */
static struct span variables_of(const struct req *r)
{
    const struct conn *c = r->conn;
    if (c->transport != &transport_tls || c->net->conf->tls.cert_reqs == CONF_CERT_REQS_NONE)
        return (struct span){ NULL, 0 };
    return tls_variables(c);
}

/* Head bytes, fields and variables lie after the call. */
struct wsgi_call *wsgi_call_new(struct wsgi *wsgi, struct req *r)
{
    size_t n_fields = r->n_fields * sizeof *r->fields, n_head = req_head_size(r);
    struct span tls = variables_of(r);
    struct wsgi_call *c = malloc(sizeof *c + n_fields + n_head + tls.n);
    if (!c)
        return NULL;
    *c = (struct wsgi_call){ .wsgi = wsgi,
                             .req = r,
                             .file.fd = -1,
                             .body.fd = -1,
                             .spool.fd = -1,
                             .socket_fd = -1,
                             .changed = PTHREAD_COND_INITIALIZER };
    c->parcels_end = &c->parcels;
    atomic_init(&c->refs, 2);
    c->fields = (struct field *)(c + 1);
    c->head = (char *)c->fields + n_fields;
    memcpy(c->fields, r->fields, n_fields);
    memcpy(c->head, r->head, n_head);
    if (tls.n)
        memcpy(c->head + n_head, tls.p, tls.n);
    c->tls = (struct piece){ (uint32_t)n_head, (uint32_t)tls.n };
    c->n_fields = r->n_fields;
    c->method = r->method;
    c->target = r->target;
    c->path = r->path;
    c->query = r->query;
    c->prefix = r->prefix;
    c->id = r->id;
    c->version = r->version;
    c->https = r->https;
    c->is_head = r->is_head;
    c->has_client = r->client != NULL;
    if (c->has_client)
        c->client = *r->client;
    c->has_server = r->server != NULL;
    if (c->has_server)
        c->server = *r->server;
    return c;
}

struct wsgi_call *wsgi_call_ref(struct wsgi_call *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void wsgi_call_unref(struct wsgi_call *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return;
    buf_release(&c->in);
    wsgi_spool_drop(c->wsgi, &c->file);
    wsgi_spool_drop(c->wsgi, &c->body);
    wsgi_spool_drop(c->wsgi, &c->spool);
    free(c->answer);
    fd_close(&c->socket_fd);
    pthread_cond_destroy(&c->changed);
    free(c);
}

void wsgi_call_describe(const struct wsgi_call *c, char *to, size_t n)
{
    static const char *const versions[] = { [HTTP_1_0] = "1.0", [HTTP_1_1] = "1.1", [HTTP_2] = "2" };
    app_describe(to, n,
                 &(struct app_request){
                     .method = wsgi_call_span(c, c->method),
                     .target = wsgi_call_span(c, c->target),
                     .version = span_of(versions[c->version]),
                     .client = c->has_client ? c->client.host : "",
                     .port = c->client.port,
                     .hidden = &c->wsgi->env.conf->log.redact,
                     .id = wsgi_call_span(c, c->id),
                 });
}
