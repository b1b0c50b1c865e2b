/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_abuse.c: what a peer may not do: frames are looked at before nghttp2 sees them, since it lets pass much that costs us
 * something for nothing (RFC 9113 10.5) and some of what the protocol forbids. The verdict is h->doom: the connection ends
 * with that error. Must never call a handler or make frames: nghttp2 may be at work. */
#include "common/log.h"
#include "common/likely.h"
#include "worker/http2/h2_priv.h"

/* Budgets: at once, and what comes back in a second. A browser that leaves a page takes back what it had asked for.
 *
 * How many chores a peer may give us depends on what it does otherwise: one that reads fast opens windows and measures
 * the way (PING) in proportion, so each request and each DATA frame of ours that was worth its head earns it some. */
#define CHORES 1000, 200
#define RESETS 200, 50
#define FAULTS 100, 20
#define EARNED 4
#define EARNED_MOST 100000 /* DATA may be far ahead of those who read it */
#define WORTH 256 /* bytes of DATA */
#define SETTINGS_COST 5 /* all streams may have to be looked at */
#define DATA_HEAD 9
#define MAX_OVERHEAD_RATIO 4

/* Frames that nghttp2 may keep until they can be sent. */
#define QUEUE_MAX 1000

void h2_abuse_init(struct h2_conn *h)
{
    h->chores = (struct h2_budget){ CHORES };
    h->resets = (struct h2_budget){ RESETS };
    h->faults = (struct h2_budget){ FAULTS };
    h2_walk_init(&h->walk);
}

static void doom(struct h2_conn *h, const char *what)
{
    if (h->doom)
        return;
    log_info("%s: HTTP/2 connection ended: too many %s", h->client.host, what);
    h->doom = NGHTTP2_ENHANCE_YOUR_CALM;
}

static void spend(struct h2_conn *h, struct h2_budget *budget, uint32_t n, const char *what)
{
    if (unlikely(!h2_spend(budget, n, h2_now())))
        doom(h, what);
}

void h2_abuse_reset(struct h2_conn *h)
{
    spend(h, &h->resets, 1, "cancelled requests");
}

void h2_abuse_fault(struct h2_conn *h)
{
    spend(h, &h->faults, 1, "stream errors");
}

void h2_abuse_request(struct h2_conn *h)
{
    h2_earn(&h->chores, EARNED, EARNED_MOST);
}

/* `whole`: nothing is left that a window kept back. */
void h2_abuse_sent(struct h2_conn *h, size_t n, bool whole)
{
    if (likely(n >= WORTH || whole))
        h2_earn(&h->chores, EARNED, EARNED_MOST);
}

void h2_abuse_queue(struct h2_conn *h, size_t most_streams)
{
    if (unlikely(nghttp2_session_get_outbound_queue_size(h->session) > QUEUE_MAX + 4 * most_streams))
        doom(h, "frames that it makes us send and does not read");
}

/* --- order --- */

void h2_abuse_over(struct h2_conn *h, int32_t id)
{
    h->over[h->n_over++ % H2_OVER] = id;
}

/* A frame for a stream that is closed: an error if the peer itself had ended it (RFC 9113 5.1). Where we were the first,
 * the peer may not know yet. */
static void judge_closed(struct h2_conn *h, int32_t id)
{
    for (unsigned i = 0; i < H2_OVER && !h->doom; i++) {
        if (h->over[i] == id)
            h->doom = NGHTTP2_STREAM_CLOSED;
    }
}

static bool is_skipped(const struct h2_conn *h, int32_t id)
{
    for (unsigned i = 0; i < H2_SKIPPED && i < h->n_skipped; i++) {
        if (id >= h->skipped[i].from && id <= h->skipped[i].to)
            return true;
    }
    return false;
}

/* What nghttp2 would let pass: a stream below one that was opened before (RFC 9113 5.1.1). */
void h2_abuse_order(struct h2_conn *h, int32_t id)
{
    if (unlikely(h->state == H2_LAST))
        spend(h, &h->chores, 1, "requests after GOAWAY");
    if (id > h->last_id) {
        if (unlikely(id > h->last_id + 2))
            h->skipped[h->n_skipped++ % H2_SKIPPED] = (struct h2_ids){ h->last_id + 1, id - 1 };
        h->last_id = id;
        return;
    }
    spend(h, &h->chores, 1, "HEADERS frames for existing streams"); /* trailers, at best */
    judge_closed(h, id);
    if (is_skipped(h, id) && !h->doom)
        h->doom = NGHTTP2_PROTOCOL_ERROR;
}

/* --- frames --- */

static void judge_data(struct h2_conn *h, const struct h2_walked *f)
{
    judge_closed(h, f->stream);
    uint32_t useful = f->length - f->padding;
    if (unlikely(useful * MAX_OVERHEAD_RATIO < DATA_HEAD + f->padding && !(f->flags & NGHTTP2_FLAG_END_STREAM)))
        spend(h, &h->chores, 1, "tiny DATA frames");
}

static void judge_priority(struct h2_conn *h, const struct h2_walked *f)
{
    if (!f->stream || f->depends == (uint32_t)f->stream) /* RFC 9113 6.3, RFC 7540 5.3.1 */
        h->doom = NGHTTP2_PROTOCOL_ERROR;
    else
        spend(h, &h->chores, 1, "PRIORITY frames");
}

/* RFC 9218 7.1. One that is too short is nghttp2's to answer. */
static void judge_priority_update(struct h2_conn *h, const struct h2_walked *f)
{
    if (f->length >= 4 && !f->depends)
        h->doom = NGHTTP2_PROTOCOL_ERROR;
    else
        spend(h, &h->chores, 1, "useless frames");
}

static void judge_frame(struct h2_conn *h, const struct h2_walked *f)
{
    switch (f->type) {
    case NGHTTP2_DATA:
        judge_data(h, f);
        break;
    case NGHTTP2_HEADERS:
        h->n_continuations = 0;
        break;
    case NGHTTP2_CONTINUATION:
        if (++h->n_continuations > H2_MAX_CONTINUATIONS)
            doom(h, "CONTINUATION frames");
        break;
    case NGHTTP2_PRIORITY:
        judge_priority(h, f);
        break;
    case NGHTTP2_RST_STREAM:
        h2_abuse_over(h, f->stream);
        spend(h, &h->chores, 1, "RST_STREAM frames");
        break;
    case NGHTTP2_SETTINGS:
        spend(h, &h->chores, SETTINGS_COST, "SETTINGS frames");
        break;
    case NGHTTP2_WINDOW_UPDATE:
        spend(h, &h->chores, 1, "WINDOW_UPDATE frames");
        break;
    case NGHTTP2_PRIORITY_UPDATE:
        judge_priority_update(h, f);
        break;
    default: /* PING, GOAWAY, unknown types */
        spend(h, &h->chores, 1, "useless frames");
    }
}

void h2_abuse_frames(struct h2_conn *h, const uint8_t *p, size_t n)
{
    struct h2_walked frame;
    while (h2_walk_next(&h->walk, &p, &n, &frame))
        judge_frame(h, &frame);
}
