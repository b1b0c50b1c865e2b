/* SPDX-License-Identifier: BSD-3-Clause */
/* resp_head.c: what an answer says in fields: its head, interim answers, trailers, an upgrade. Fields are checked before
 * the protocol gets them. */
#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/likely.h"
#include "worker/http/added_fields.h"
#include "worker/http/chars.h"
#include "worker/http/held.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"

/* RFC 9110 5.1, 5.5: what a recipient need not take, and might take for something else, is not sent. */
bool resp_field_is_good(const struct resp_field *f)
{
    if (!f->name.n)
        return false;
    for (size_t i = 0; i < f->name.n; i++) {
        if (!h1_is_token((unsigned char)f->name.p[i]))
            return false;
    }
    for (size_t i = 0; i < f->value.n; i++) {
        if (!h1_is_value((unsigned char)f->value.p[i]))
            return false;
    }
    return true;
}

int64_t resp_read_length(struct span value)
{
    value = span_trim(value);
    if (!value.n || value.n > 18)
        return -1;
    int64_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return -1;
        n = n * 10 + (value.p[i] - '0');
    }
    return n;
}

/* Into *length; a second one must be the same. */
static enum resp_result read_length(struct span value, int64_t *length)
{
    int64_t n = resp_read_length(value);
    if (n < 0)
        return RESP_BAD_LENGTH;
    if (*length >= 0 && *length != n)
        return RESP_TWO_LENGTHS;
    *length = n;
    return RESP_SENT;
}

static bool is_event_stream(const struct resp_head *head)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (unlikely(held_is_event_stream(&head->fields[i])))
            return true;
    }
    return false;
}

/* RESP_SENT: they are good. */
static enum resp_result check_fields(const struct resp_field *fields, size_t n, int64_t *ret_length)
{
    int64_t length = -1;
    enum resp_result result = RESP_SENT;
    for (size_t i = 0; i < n && result == RESP_SENT; i++) {
        if (unlikely(!resp_field_is_good(&fields[i])))
            result = RESP_BAD_FIELD;
        else if (fields[i].name.n == 14 && span_ieq(fields[i].name, SPAN("content-length")))
            result = read_length(fields[i].value, &length);
    }
    *ret_length = length;
    return result;
}

static void keep_for_log(struct req *r, const struct resp_head *head)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct resp_field *f = &head->fields[i];
        char *to = buf_room(&r->logged_fields, f->name.n + f->value.n + 2);
        if (!to)
            return;
        memcpy(to, f->name.p, f->name.n);
        to[f->name.n] = 0;
        memcpy(to + f->name.n + 1, f->value.p, f->value.n);
        to[f->name.n + 1 + f->value.n] = 0;
        buf_grew(&r->logged_fields, f->name.n + f->value.n + 2);
    }
}

/* With what the configuration adds. */
static __attribute__((noinline)) enum resp_result begin_joined(struct req *r, const struct resp_head *head)
{
    struct resp_head all = *head;
    struct resp_field *room = added_fields_join(site_of(r->conn)->added, r, &all);
    if (site_of(r->conn)->keeps_fields)
        keep_for_log(r, &all);
    enum resp_result result = r->ops->start(r, &all);
    free(room);
    return result;
}

enum resp_result resp_begin(struct req *r, const struct resp_head *head)
{
    if (unlikely(site_of(r->conn)->added))
        return begin_joined(r, head);
    if (unlikely(site_of(r->conn)->keeps_fields))
        keep_for_log(r, head);
    return r->ops->start(r, head);
}

enum resp_result resp_start(struct req *r, const struct resp_head *head)
{
    int64_t length;
    if (unlikely(r->answer_unbound))
        return RESP_GONE;
    assert(r->state <= REQ_RUNNING || (r->state == REQ_HELD && !r->status));
    if (head->status < 200 || head->status > 999)
        return RESP_BAD_STATUS;
    enum resp_result checked = check_fields(head->fields, head->n_fields, &length);
    if (unlikely(checked != RESP_SENT))
        return checked;
    r->status = (uint16_t)head->status;
    r->answer_length = length;
    r->answer_empty = r->is_head || head->status == 204 || head->status == 205 || head->status == 304;
    r->answer_trailers = head->trailers;
    if (likely(r->state < REQ_HELD))
        req_set_state(r, REQ_HELD);
    const struct site *site = site_of(r->conn);
    held_add(site->held, r, is_event_stream(head));
    if (unlikely(site->slow_ns != UINT64_MAX))
        r->answered_ns = clock_ns();
    if (unlikely(site->filter && head->dynamic))
        return site->filter->ops->start(site->filter, r, head);
    return resp_begin(r, head);
}

void resp_withdraw(struct req *r)
{
    assert(r->state == REQ_HELD);
    if (r->filtered)
        r->filtered->ops->withdraw(r);
    held_remove(r);
    r->ops->withdraw(r);
    buf_take(&r->logged_fields, buf_len(&r->logged_fields));
    r->status = 0;
}

enum resp_result resp_upgrade(struct req *r, const struct resp_head *head, struct span protocol,
                              const struct proto_ops *proto, void *proto_data, struct conn **ret_conn)
{
    int64_t length;
    if (r->answer_unbound)
        return RESP_GONE;
    assert(r->state <= REQ_RUNNING && r->body_complete && head->status == 101);
    enum resp_result checked = check_fields(head->fields, head->n_fields, &length);
    if (checked != RESP_SENT)
        return checked;
    r->status = 101;
    r->answer_empty = true;
    struct resp_head all = *head;
    struct resp_field *room = NULL;
    if (unlikely(r->id.n))
        room = added_fields_join(site_of(r->conn)->added, r, &all);
    if (unlikely(site_of(r->conn)->keeps_fields))
        keep_for_log(r, &all);
    enum resp_result result = r->ops->upgrade(r, &all, protocol, proto, proto_data, ret_conn);
    free(room);
    return result;
}

enum resp_result resp_trailers(struct req *r, const struct resp_field *fields, size_t n, bool more)
{
    assert((r->state == REQ_HELD || r->state == REQ_STARTED) && r->answer_trailers);
    int64_t length;
    enum resp_result checked = check_fields(fields, n, &length);
    if (checked == RESP_BAD_FIELD)
        return checked;
    if (checked != RESP_SENT || length >= 0) /* framing in trailers: RFC 9110 6.5.1 */
        return RESP_BAD_TRAILER;
    return r->ops->trailers(r, fields, n, more);
}

enum resp_result resp_interim(struct req *r, unsigned status, const struct resp_field *fields, size_t n)
{
    int64_t length;
    if (status < 102 || status > 199)
        return RESP_BAD_STATUS;
    enum resp_result checked = check_fields(fields, n, &length);
    if (checked != RESP_SENT)
        return checked;
    if (r->state != REQ_RUNNING || r->version == HTTP_1_0)
        return RESP_SENT;
    return r->ops->interim(r, status, fields, n);
}

const char *resp_fault(enum resp_result result)
{
    switch (result) {
    case RESP_BAD_FIELD:
        return "header name is not a token, or its value has a control character";
    case RESP_BAD_LENGTH:
        return "Content-Length is not a number of at most 18 digits";
    case RESP_TWO_LENGTHS:
        return "two different Content-Length headers";
    case RESP_BAD_TRAILER:
        return "Content-Length cannot be a trailer";
    case RESP_BAD_STATUS:
        return "\"status\" must be from 200 to 999";
    default:
        return NULL;
    }
}

const char *resp_reason(unsigned status)
{
    switch (status) {
#define STATUS(code, reason) \
    case code:               \
        return reason;
#include "worker/http/statuses.def"
    default:
        return "";
    }
}
