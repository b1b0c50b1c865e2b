/* SPDX-License-Identifier: BSD-3-Clause */
/* resp.c: the body of an answer, by the rules that hold for every handler and every protocol: Content-Length is held to,
 * HEAD, 204, 205 and 304 have no body. How bytes are framed and sent is the protocol's (resp_ops). */
#include "worker/http/resp.h"

#include <assert.h>

#include "common/likely.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"

enum length_fit { FITS, TOO_LONG, TOO_SHORT };

/* Whether n more bytes keep to Content-Length; cuts *n to what fits. */
static enum length_fit fit(const struct req *r, uint64_t *n, bool last)
{
    int64_t length = r->answer_length;
    uint64_t sent = r->sent_body;
    if (unlikely(r->filtered))
        r->filtered->ops->given(r, &length, &sent);
    if (length < 0 || r->answer_empty)
        return FITS;
    uint64_t left = (uint64_t)length - sent;
    if (*n > left) {
        *n = left;
        return TOO_LONG;
    }
    return last && *n < left ? TOO_SHORT : FITS;
}

/* What fits is sent and the answer is complete; the connection cannot be used again (RFC 9112 6.3). */
static void begin_overrun(struct req *r)
{
    r->keep_alive = false;
    r->answer_unbound = true;
    r->answer_trailers = false;
}

enum resp_result resp_body(struct req *r, struct span bytes, bool more)
{
    assert(r->state == REQ_HELD || r->state == REQ_STARTED);
    uint64_t n = bytes.n;
    enum length_fit fits = fit(r, &n, !more);
    enum resp_result result;
    if (likely(fits == FITS))
        return r->ops->body(r, bytes, more);
    bytes.n = (size_t)n;
    if (fits == TOO_LONG) {
        begin_overrun(r);
        result = r->ops->body(r, bytes, false);
        return resp_failed(result) ? result : RESP_TOO_LONG;
    }
    r->keep_alive = false;
    result = bytes.n ? r->ops->body(r, bytes, true) : RESP_SENT;
    if (resp_failed(result))
        return result;
    resp_abort(r);
    return RESP_TOO_SHORT;
}

enum resp_result resp_file(struct req *r, int fd, off_t offset, size_t count, bool more)
{
    assert(r->state == REQ_HELD || r->state == REQ_STARTED);
    uint64_t n = count;
    if (unlikely(r->filtered)) {
        enum resp_result begun = r->filtered->ops->before_file(r);
        if (resp_failed(begun))
            return begun;
    }
    enum length_fit fits = fit(r, &n, !more);
    if (r->answer_empty || !n)
        return resp_body(r, SPAN(""), more);
    if (fits == FITS)
        return r->ops->file(r, fd, offset, count, more);
    enum resp_result result;
    if (fits == TOO_LONG) {
        /* Not answer_unbound: the descriptor must stay open until all that fits is sent. */
        r->keep_alive = false;
        r->answer_trailers = false;
        result = r->ops->file(r, fd, offset, (size_t)n, false);
        return result == RESP_SENT ? RESP_TOO_LONG : result;
    }
    resp_abort(r);
    return RESP_TOO_SHORT;
}

bool resp_is_given(const struct req *r)
{
    return r->state >= REQ_ANSWERED || (r->filtered && r->filtered->ops->is_given(r));
}

void resp_drained(struct req *r)
{
    if (unlikely(r->filtered))
        r->filtered->ops->drained(r);
    else
        r->handler->ops->on_drained(r);
}

void resp_flush(struct req *r)
{
    if (r->state == REQ_STARTED)
        r->ops->flush(r);
}

void resp_own(struct req *r)
{
    if (r->state >= REQ_HELD && r->state < REQ_ENDED)
        r->ops->own(r);
}

void resp_abort(struct req *r)
{
    assert(r->state < REQ_ENDED);
    if (r->state > REQ_HELD) {
        r->ops->abort(r);
        return;
    }
    r->end = REQ_END_ABORTED;
    resp_error(r, 500);
}
