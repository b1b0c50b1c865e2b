/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_head_out.c: the head of an answer: kept from resp_start() to the first body call, then given to nghttp2 with the
 * server's own fields. The bytes stay in the stream until nghttp2 has made the frame, so it need not copy them. */
#include <stdio.h>
#include <stdlib.h>

#include "common/likely.h"
#include "conf/conf.h"
#include "worker/http2/h2_priv.h"
#include "worker/http/own_fields.h"

#define OWN_FIELDS 4  /* :status, server, date, content-length */
#define OWN_ROOM 64   /* status, date and length as text */
#define NO_COPY (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

static void add(struct h2_stream *s, struct span name, struct span value)
{
    s->nv[s->n_nv++] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.p,
                                     .namelen = name.n,
                                     .value = (uint8_t *)(uintptr_t)value.p,
                                     .valuelen = value.n,
                                     .flags = NO_COPY };
}

/* RFC 9113 8.2. */
static char *put_lower(char *to, struct span name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return to + name.n;
}

static size_t room_for(const struct resp_field *fields, size_t n)
{
    size_t room = (n + OWN_FIELDS) * sizeof(nghttp2_nv) + OWN_ROOM;
    for (size_t i = 0; i < n; i++)
        room += fields[i].name.n + fields[i].value.n;
    return room;
}

static int make_room(struct h2_stream *s, size_t n)
{
    if (likely(n <= s->nv_cap))
        return 0;
    char *room = malloc(n);
    if (!room)
        return -1;
    free(s->nv_room);
    s->nv_room = room;
    s->nv_cap = n;
    return 0;
}

/* False: the field is left out. */
static bool admit(struct h2_stream *s, struct span name)
{
    switch (own_field_of(name)) {
    case OWN_NONE:
        return true;
    case OWN_CONTENT_LENGTH:
        if (s->has_length || s->req.status == 204 || s->req.status == 205) /* RFC 9110 8.6, 15.3.6 */
            return false;
        return s->has_length = true;
    case OWN_DATE:
        return s->has_date = true;
    case OWN_SERVER:
        return s->has_server = true;
    case OWN_CONNECTION:
    case OWN_UPGRADE:
    case OWN_HOP_BY_HOP: /* RFC 9113 8.2.2 */
        break;
    }
    return false;
}

int h2_head_keep(struct h2_stream *s, const struct resp_head *head)
{
    if (make_room(s, room_for(head->fields, head->n_fields)) < 0)
        return -1;
    s->nv = (nghttp2_nv *)(void *)s->nv_room;
    s->n_nv = 0;
    char *w = s->nv_room + (head->n_fields + OWN_FIELDS) * sizeof(nghttp2_nv), *p = w + OWN_ROOM;
    w[0] = (char)('0' + head->status / 100);
    w[1] = (char)('0' + head->status / 10 % 10);
    w[2] = (char)('0' + head->status % 10);
    add(s, SPAN(":status"), (struct span){ w, 3 });
    for (size_t i = 0; i < head->n_fields; i++) {
        struct span name = head->fields[i].name, value = span_trim(head->fields[i].value);
        if (!admit(s, name))
            continue;
        char *at = p;
        p = put_lower(p, name);
        memcpy(p, value.p, value.n);
        add(s, (struct span){ at, name.n }, (struct span){ p, value.n });
        p += value.n;
    }
    return 0;
}

static void add_length(struct h2_stream *s, char *room, uint64_t n)
{
    int len = sprintf(room, "%llu", (unsigned long long)n);
    add(s, SPAN("content-length"), (struct span){ room, (size_t)len });
}

/* HEAD announces what GET would, as far as the handler has given it. */
static bool says_length(const struct h2_stream *s, size_t n, bool whole)
{
    const struct req *r = &s->req;
    if (s->has_length || !whole || r->answer_trailers || s->tunnel)
        return false;
    return !r->answer_empty || (r->is_head && n && r->status != 204 && r->status != 205 && r->status != 304);
}

int h2_head_submit(struct h2_stream *s, size_t n, bool whole, bool end)
{
    struct h2_conn *h = s->h;
    const struct conf_http *conf = &h->conn->net->conf->http;
    char *room = (char *)s->nv[0].value + 3;
    if (likely(!s->has_server && conf->server_header))
        add(s, SPAN("server"), SPAN("tine"));
    if (likely(!s->has_date && conf->date_header)) {
        memcpy(room, http_date(&h2_shared(h)->date), HTTP_DATE_LEN);
        add(s, SPAN("date"), (struct span){ room, HTTP_DATE_LEN });
        room += HTTP_DATE_LEN;
    }
    if (says_length(s, n, whole))
        add_length(s, room, n);
    nghttp2_data_provider body = { .source = { .ptr = s }, .read_callback = h2_on_read };
    if (nghttp2_submit_response(h->session, s->id, s->nv, s->n_nv, end ? NULL : &body) != 0)
        return -1;
    s->submitted = true;
    s->end_submitted = end;
    req_set_state(&s->req, REQ_STARTED);
    return 0;
}

/* nghttp2 copies these, since the frame may be made after the head of the answer was put in their place. */
int h2_interim_submit(struct h2_stream *s, unsigned status, const struct resp_field *fields, size_t n)
{
    struct h2_conn *h = s->h;
    size_t k = 0;
    nghttp2_nv *nv = malloc(room_for(fields, n));
    if (!nv)
        return -1;
    char *p = (char *)(nv + n + 1);
    int len = sprintf(p, "%u", status);
    nv[k++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)":status", .namelen = 7, .value = (uint8_t *)p, .valuelen = (size_t)len
    };
    p += len;
    for (size_t i = 0; i < n; i++) {
        struct span value = span_trim(fields[i].value);
        if (own_field_of(fields[i].name) != OWN_NONE)
            continue;
        nv[k++] = (nghttp2_nv){ .name = (uint8_t *)p,
                                .namelen = fields[i].name.n,
                                .value = (uint8_t *)(uintptr_t)value.p,
                                .valuelen = value.n };
        p = put_lower(p, fields[i].name);
    }
    int failed = nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, s->id, NULL, nv, k, NULL);
    free(nv);
    return failed ? -1 : 0;
}
