/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_head_out.c: builds the head of an HTTP/1 answer in the shared buffer; one that must wait for its body while
 * another answer starts moves to its own memory. Room is computed once, so nothing is checked while bytes are put. */
#include "worker/http1/h1_head_out.h"

#include <stdio.h>

#include "common/likely.h"
#include "conf/conf.h"
#include "worker/http1/h1_priv.h"
#include "worker/http/own_fields.h"

/* Status line of an unlisted status; server, date, connection, keep-alive, content-length or transfer-encoding, empty
 * line. */
#define OWN_ROOM 320

struct status_line {
    const char *p;
    size_t n;
};

static const struct status_line status_lines[] = {
#define LINE(code, reason) "HTTP/1.1 " #code " " reason "\r\n"
#define STATUS(code, reason) [code] = { LINE(code, reason), sizeof(LINE(code, reason)) - 1 },
#include "worker/http/statuses.def"
};

static char *put_number(char *to, uint64_t n)
{
    char digits[20];
    int at = sizeof(digits);
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return h1_put(to, digits + at, sizeof(digits) - (size_t)at);
}

static char *put_status(char *to, const struct resp_head *head)
{
    unsigned status = head->status;
    if (unlikely(head->reason.n)) {
        to += sprintf(to, "HTTP/1.1 %u ", status);
        to = h1_put(to, head->reason.p, head->reason.n);
        return H1_PUT(to, "\r\n");
    }
    if (likely(status < sizeof(status_lines) / sizeof(status_lines[0]) && status_lines[status].p))
        return h1_put(to, status_lines[status].p, status_lines[status].n);
    return to + sprintf(to, "HTTP/1.1 %u \r\n", status);
}

/* False: the field is left out. */
static bool admit(struct h1_req *hr, const struct resp_field *f)
{
    struct req *r = &hr->req;
    switch (own_field_of(f->name)) {
    case OWN_NONE:
        return true;
    case OWN_CONNECTION:
        if (span_list_has(f->value, SPAN("close"))) /* RFC 9110 7.6.1 */
            r->keep_alive = false;
        return false;
    case OWN_CONTENT_LENGTH:
        if (hr->has_length || r->status == 204 || r->status == 101) /* RFC 9110 8.6 */
            return false;
        if (r->status == 205) /* there is none: put_framing_of_nothing() */
            return false;
        return hr->has_length = true;
    case OWN_DATE:
        return hr->has_date = true;
    case OWN_SERVER:
        return hr->has_server = true;
    case OWN_UPGRADE:
        return r->status == 426; /* RFC 9110 15.5.22 */
    case OWN_HOP_BY_HOP:
        break;
    }
    return false;
}

/* The head in the shared buffer moves to its request, with room for its end. */
static void move_out(struct h1_shared *sh)
{
    struct h1_req *owner = sh->head_owner;
    sh->head_owner = NULL;
    char *to = buf_room(&owner->head, sh->head_len + OWN_ROOM);
    if (!to) {
        conn_abort(owner->h->conn, true);
        return;
    }
    memcpy(to, sh->out, sh->head_len);
    buf_grew(&owner->head, sh->head_len);
}

static size_t room_for(const struct resp_head *head)
{
    size_t n = OWN_ROOM + head->reason.n;
    for (size_t i = 0; i < head->n_fields; i++)
        n += head->fields[i].name.n + head->fields[i].value.n + 4;
    return n;
}

int h1_head_start(struct h1_req *hr, const struct resp_head *head)
{
    struct h1_shared *sh = h1_shared(hr->h);
    size_t room = room_for(head);
    bool shared = room <= H1_HEAD_ROOM;
    char *start = sh->out;
    if (unlikely(!shared)) {
        if (!(start = buf_room(&hr->head, room)))
            return -1;
    } else {
        if (unlikely(sh->head_owner != NULL))
            move_out(sh);
        sh->head_owner = hr;
    }
    char *w = put_status(start, head);
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct resp_field *f = &head->fields[i];
        if (!admit(hr, f))
            continue;
        w = h1_put(w, f->name.p, f->name.n);
        w = H1_PUT(w, ": ");
        w = h1_put(w, f->value.p, f->value.n);
        w = H1_PUT(w, "\r\n");
    }
    if (likely(shared))
        sh->head_len = (size_t)(w - start);
    else
        buf_grew(&hr->head, (size_t)(w - start));
    return 0;
}

static char *put_length(char *w, uint64_t n)
{
    w = H1_PUT(w, "content-length: ");
    w = put_number(w, n);
    return H1_PUT(w, "\r\n");
}

/* HEAD announces what GET would, as far as the handler has given it. */
static char *put_framing_of_nothing(struct h1_req *hr, char *w, size_t n, bool whole)
{
    struct req *r = &hr->req;
    hr->framing = H1_EMPTY;
    if (r->status == 205) /* no content (RFC 9110 15.3.6), but framed like any other (RFC 9112 6.3) */
        return put_length(w, 0);
    if (!r->is_head || hr->has_length || r->status == 204 || r->status == 304)
        return w;
    if (whole && n && !r->answer_trailers)
        return put_length(w, n);
    if (!whole && r->version == HTTP_1_1)
        return H1_PUT(w, "transfer-encoding: chunked\r\n");
    return w;
}

/* RFC 9112 6.1-6.3. */
static char *put_framing(struct h1_req *hr, char *w, size_t n, bool whole)
{
    struct req *r = &hr->req;
    if (r->answer_empty)
        return put_framing_of_nothing(hr, w, n, whole);
    if (r->answer_length >= 0) {
        hr->framing = H1_COUNTED;
        return w;
    }
    if (whole && !r->answer_trailers) {
        hr->framing = H1_COUNTED;
        return put_length(w, n);
    }
    if (r->version == HTTP_1_1) {
        hr->framing = H1_CHUNKED;
        return H1_PUT(w, "transfer-encoding: chunked\r\n");
    }
    hr->framing = H1_UNTIL_CLOSE;
    r->keep_alive = false;
    return w;
}

/* Whether more of the request's body is still to come than would be thrown away for keeping the connection; or the
 * client waits for a 100 (Continue) that it will not get. */
static bool body_forces_close(const struct req *r, bool whole)
{
    if (r->body_complete)
        return false;
    return r->expect_continue || (whole && r->content_length > (int64_t)r->body_received + (int64_t)H1_DRAIN_MAX);
}

static char *put_own_fields(struct h1_req *hr, char *w)
{
    const struct conf_http *conf = &hr->req.conn->net->conf->http;
    if (likely(!hr->has_server && conf->server_header))
        w = H1_PUT(w, "server: tine\r\n");
    if (likely(!hr->has_date && conf->date_header)) {
        w = H1_PUT(w, "date: ");
        w = h1_put(w, http_date(&h1_shared(hr->h)->date), HTTP_DATE_LEN);
        w = H1_PUT(w, "\r\n");
    }
    return w;
}

/* RFC 2068 19.7.1.1, which is what there is. */
static char *put_keep_alive(const struct h1_req *hr, char *w)
{
    w = H1_PUT(w, "keep-alive: timeout=");
    w = put_number(w, hr->h->keepalive / 1000);
    return H1_PUT(w, "\r\n");
}

/* Where the head begins; *ret_end: where it continues. */
static char *head_place(struct h1_req *hr, char **ret_end)
{
    struct h1_shared *sh = h1_shared(hr->h);
    bool shared = sh->head_owner == hr;
    char *start = shared ? sh->out : hr->head.p + hr->head.start;
    *ret_end = start + (shared ? sh->head_len : buf_len(&hr->head));
    return start;
}

/* It ends at w. */
static struct span head_ends(struct h1_req *hr, char *start, char *w)
{
    struct h1_shared *sh = h1_shared(hr->h);
    size_t len = (size_t)(w - start);
    if (likely(sh->head_owner == hr))
        sh->head_len = len;
    else
        buf_grew(&hr->head, len - buf_len(&hr->head));
    return (struct span){ start, len };
}

struct span h1_head_finish_upgrade(struct h1_req *hr, struct span protocol)
{
    char *end, *start = head_place(hr, &end);
    char *w = put_own_fields(hr, end);
    w = H1_PUT(w, "connection: upgrade\r\nupgrade: ");
    w = h1_put(w, protocol.p, protocol.n);
    w = H1_PUT(w, "\r\n\r\n");
    return head_ends(hr, start, w);
}

struct span h1_head_finish(struct h1_req *hr, size_t n, bool whole)
{
    struct req *r = &hr->req;
    char *end, *start = head_place(hr, &end);
    char *w = put_own_fields(hr, end);
    req_set_state(r, REQ_STARTED);
    w = put_framing(hr, w, n, whole);
    if (unlikely(r->conn->net->draining || body_forces_close(r, whole)))
        r->keep_alive = false;
    if (unlikely(!r->keep_alive))
        w = r->status == 426 ? H1_PUT(w, "connection: close, upgrade\r\n") : H1_PUT(w, "connection: close\r\n");
    else if (unlikely(r->version == HTTP_1_0))
        w = H1_PUT(w, "connection: keep-alive\r\n");
    if (unlikely(r->keep_alive && r->conn->net->conf->http.keepalive_header))
        w = put_keep_alive(hr, w);
    w = H1_PUT(w, "\r\n");
    return head_ends(hr, start, w);
}
