/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_priv.h: what the files of HTTP/2 share; no file outside this folder includes it.
 *
 * nghttp2 keeps the state of frames, streams and windows and decides whose DATA is next. Its callbacks only note what has
 * happened: they call no handler. What was noted is handled outside of nghttp2, in two queues of streams: what came in
 * (requests to start, bodies) from on_data alone, and what went out (output drained, streams closed) whenever frames were
 * made. So a handler may call any resp_*() at any time, and frames may be made inside of it.
 */
#ifndef TINE_HTTP_H2_PRIV_H
#define TINE_HTTP_H2_PRIV_H

#include <nghttp2/nghttp2.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "common/clock.h"
#include "worker/http/site.h"
#include "worker/http2/h2_budget.h"
#include "worker/http2/h2_walk.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/net/conn.h"

/* A head of more than limit_request_head is refused; of more than so many times that, the connection ends. */
#define H2_HEAD_BOMB 4
/* What stands around a field in HTTP/1 counts here as well: ": " and CRLF. */
#define H2_FIELD_AROUND 4

/* Output of a stream that nghttp2 has not taken: above the high mark the handler waits, below the low mark it
 * continues. */
#define H2_STREAM_HIGH CONN_HIGH_MARK
#define H2_STREAM_LOW CONN_LOW_MARK

#define H2_OVER 32
#define H2_SKIPPED 16
#define H2_MAX_CONTINUATIONS 16

enum h2_state {
    H2_OPEN,
    H2_LEAVING, /* the first GOAWAY was sent: what is on its way is still served */
    H2_LAST,    /* GOAWAY with the last stream that counts was sent; the connection ends with that stream */
    H2_CLOSED,  /* conn_close() or conn_abort() was called */
};

TAILQ_HEAD(h2_queue, h2_stream);

struct h2_ids {
    int32_t from, to;
};

struct h2_conn {
    struct conn *conn;
    nghttp2_session *session;
    enum h2_state state;
    struct h2_queue streams; /* all */
    struct h2_queue in, out; /* those with something noted */
    struct h2_queue waiting; /* those that wait for a place: the work for requests taken back takes places too */
    unsigned n_taken;        /* those that the handler knows or has known */
    struct h2_stream *head;  /* whose head is coming */
    size_t trailer_size;     /* decoded bytes of the trailers that are coming */
    unsigned n_pending;      /* streams with output that nghttp2 has not taken */
    bool in_head;            /* a block of fields has begun and not ended */
    bool served;             /* at least one request came */
    bool idle;               /* the deadline of an idle connection runs */
    bool head_waits;         /* or that of a head that does not end */
    bool sending;            /* nghttp2 is making frames: h2_send() must not be entered again */
    bool has_frame_buffer;   /* h2_memory.c */
    uint32_t doom;           /* the peer has gone too far: to be ended with this error */
    int32_t over[H2_OVER];   /* the latest streams that the peer had ended and that are closed */
    unsigned n_over;
    int32_t last_id;         /* the highest stream that came */
    unsigned n_continuations; /* of the latest HEADERS */
    struct h2_ids skipped[H2_SKIPPED]; /* ids skipped by the peer: they can no longer be opened (RFC 9113 5.1.1) */
    unsigned n_skipped;
    bool to_last;            /* the PING after the first GOAWAY was answered: no request can still be on its way */
    uint32_t n_requests;
    uint64_t opened_ms;
    struct pace write_pace; /* while the peer keeps the window of the connection shut */
    size_t library;      /* bytes that nghttp2 has asked for */
    size_t library_kept; /* what of it is kept for the client */
    size_t head_kept;    /* likewise for a head that is not whole */
    struct h2_walk walk;
    struct h2_budget chores; /* frames that carry nothing, in proportion to the useful ones */
    struct h2_budget resets; /* requests that the peer takes back */
    struct h2_budget faults; /* streams that the peer makes us reset */
    struct endpoint client, server;
};

/* Why a head is not judged at all. */
enum h2_fault {
    H2_FAULT_NONE,
    H2_FAULT_LINE,
    H2_FAULT_FIELDS,
    H2_FAULT_MEMORY,
    H2_FAULT_SCHEME,
    H2_FAULT_PROTOCOL,
    H2_FAULT_ENDED
};

/* Grouped by who sets the fields. */
struct h2_stream {
    struct req req; /* first */
    struct h2_conn *h;
    int32_t id;

    /* life: h2_stream.c, which frees it once nghttp2 has forgotten it and its request has ended */
    bool waits;      /* in h->waiting */
    bool dispatched; /* the handler knows it, or has known it */
    bool closed;     /* nghttp2 has forgotten it */
    bool cut;        /* we have reset it: nothing more goes out */
    uint32_t failed; /* the stream is to be reset with this error when the pending output was sent; 0: no */
    int8_t held;     /* score_hold() */
    TAILQ_ENTRY(h2_stream) all, in_link, out_link, wait_link;
    SLIST_ENTRY(h2_stream) free;

    /* noted inside nghttp2's callbacks, passed to handlers by h2_tell_in() and h2_tell_out() */
    bool to_start, to_read, to_drain, to_close;
    bool in_queued, out_queued;

    /* the head as it comes: h2_session.c, h2_head.c */
    struct buf head;  /* decoded names and values; its memory is kept for the next request */
    size_t head_size; /* decoded bytes, those that were too many included */
    struct piece scheme;
    uint16_t n_cookies;
    uint8_t fault; /* enum h2_fault */
    bool has_authority;

    /* the body as it comes: h2_in.c */
    bool in_ended;     /* the peer's END_STREAM came */
    bool wants_body;   /* on_body is owed; body_deadline runs */
    bool lingers;      /* the response was sent before the request body ended; until body_deadline resets it */
    size_t uncredited; /* bytes in req.body that are not given back to the windows */
    struct deadline body_deadline;

    /* what is kept for the client: h2_memory.c */
    size_t in_kept;             /* head, body, and the application's copy of the head */
    size_t out_kept, lent_kept; /* what was answered and has not gone; how much of it is lent */

    /* the head of the answer: h2_head_out.c */
    char *nv_room; /* its fields; the memory is kept for the next one */
    size_t nv_cap;
    nghttp2_nv *nv;
    size_t n_nv;
    bool has_date, has_server, has_length;
    bool submitted;      /* nghttp2 has the head */
    bool head_sent;      /* nghttp2 has made its frame */
    bool end_submitted;  /* the head was the end */
    struct buf trailers; /* "name\0value\0", each */
    size_t n_trailers;

    /* pending output, in this order: `out`, `lent`, the file, `tail`; given by h2_out.c, taken by h2_send.c */
    struct buf out;
    struct span lent;
    int file_fd;
    off_t file_at;
    uint64_t file_left;
    struct buf tail;
    bool out_last; /* nothing follows the pending output (but trailers) */
    bool later;    /* RESP_LATER was returned: on_drained is owed */
    bool broken;   /* the answer cannot continue: its file is shorter than it was, or there is no memory */
    bool pending;  /* counted in n_pending */
    bool deferred; /* nghttp2 waits for nghttp2_session_resume_data() */
    bool end_sent; /* END_STREAM was sent */
    bool stalling; /* write_deadline runs */
    struct deadline write_deadline;
    struct pace write_pace; /* while `stalling` */

    struct conn *tunnel; /* RFC 8441: the connection inside */
};

/* Once per worker. */
struct h2_shared {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    SLIST_HEAD(, h2_stream) free;
    unsigned n_free;
    char *frame_buffer; /* of all sessions: h2_memory.c */
    struct http_date date;
};

static inline struct h2_stream *h2_of(struct req *r)
{
    return (struct h2_stream *)r;
}

static inline struct h2_shared *h2_shared(const struct h2_conn *h)
{
    return site_of(h->conn)->h2.p;
}

/* Milliseconds, roughly: for what lasts longer than a tick. */
static inline uint64_t h2_now(void)
{
    return clock_coarse_ns() / 1000000u;
}

static inline uint64_t h2_pending(const struct h2_stream *s)
{
    return buf_len(&s->out) + s->lent.n + s->file_left + buf_len(&s->tail);
}

static inline bool h2_is_gone(const struct h2_stream *s)
{
    return s->cut || (s->closed && !s->end_submitted && !s->end_sent) || s->h->conn->state != CONN_OPEN;
}

/* --- h2_conn.c --- */

extern const struct resp_ops h2_resp_ops; /* h2_out.c */
/* Frames will be made at the end of this turn. */
void h2_wake(struct h2_conn *h);
/* Sends GOAWAY with this error and closes the connection after it. */
void h2_terminate(struct h2_conn *h, uint32_t error);

/* --- h2_session.c: nghttp2's callbacks --- */

struct h2_shared *h2_shared_new(void);
void h2_shared_free(void *shared);
int h2_session_open(struct h2_conn *h);

/* --- h2_abuse.c: what a peer may not do; sets h->doom --- */

void h2_abuse_init(struct h2_conn *h);
/* Frames that come, before nghttp2 sees them. */
void h2_abuse_frames(struct h2_conn *h, const uint8_t *p, size_t n);
/* HEADERS for this stream. */
void h2_abuse_order(struct h2_conn *h, int32_t id);
/* A stream that the peer had ended is closed. */
void h2_abuse_over(struct h2_conn *h, int32_t id);
/* The peer took a request back; made us reset a stream; asked for something; lets us send n bytes of DATA (`whole`: all
 * there was); may have left too many frames in nghttp2's queue. */
void h2_abuse_reset(struct h2_conn *h);
void h2_abuse_fault(struct h2_conn *h);
void h2_abuse_request(struct h2_conn *h);
void h2_abuse_sent(struct h2_conn *h, size_t n, bool whole);
void h2_abuse_queue(struct h2_conn *h, size_t most_streams);

/* --- h2_memory.c: what is kept for the client (net/memory.h) --- */

/* How nghttp2 gets the memory of this connection. */
nghttp2_mem h2_memory_of(struct h2_conn *h);
/* Counts what is kept of a request; false, and nothing is counted, where that is too much. */
bool h2_hold_in(struct h2_stream *s) __attribute__((warn_unused_result));
/* Counts what is left of it. */
void h2_weigh_in(struct h2_stream *s);
void h2_weigh_out(struct h2_stream *s);
void h2_weigh_nothing(struct h2_stream *s);
/* After input: counts what nghttp2 keeps, and a head that is not whole; false: that is too much. */
bool h2_hold_library(struct h2_conn *h) __attribute__((warn_unused_result));
/* After output: there may be less. */
void h2_weigh_library(struct h2_conn *h);

/* --- h2_stream.c --- */

struct h2_stream *h2_stream_new(struct h2_conn *h, int32_t id);
void h2_stream_free(struct h2_stream *s);
void h2_stream_memory_free(struct h2_stream *s);
/* Notes: for on_data, for the end of the turn. */
void h2_note_in(struct h2_stream *s);
void h2_note_out(struct h2_stream *s);
/* Its output has drained. */
void h2_note_drained(struct h2_stream *s);
/* Call handlers for what was noted. Streams may be freed afterwards. */
void h2_tell_in(struct h2_conn *h);
void h2_tell_out(struct h2_conn *h);
/* Ends the request, if it has not ended; sends nothing to the peer. */
void h2_end(struct h2_stream *s, enum req_end why);
/* Ends the request and resets the stream. */
void h2_cut(struct h2_stream *s, enum req_end why, uint32_t error);
/* Ends the request, whose answer cannot continue: what was given of it is still sent, for as long as the peer takes it, and
 * then the stream is reset. */
void h2_break_off(struct h2_stream *s, enum req_end why, uint32_t error);
/* The request cannot continue: `status` as the answer if none has started, else it is broken off. */
void h2_fail(struct h2_stream *s, unsigned status, enum req_end why);
/* The same for a request that no handler has seen yet, with the reason in the text; NULL: none. */
void h2_fail_because(struct h2_stream *s, unsigned status, const char *because);
/* Too much is kept: the stream is refused: RST_STREAM with ENHANCE_YOUR_CALM, which counts as an error of the peer's. */
void h2_refuse(struct h2_stream *s);
/* The connection is gone, and all that is on it. */
void h2_stream_lost(struct h2_stream *s, enum req_end why);

/* --- h2_head.c --- */

/* A field of the head; what does not fit is only counted. */
void h2_head_add(struct h2_stream *s, struct span name, struct span value);
/* Judges the head and gives the request to the handler, as soon as there is a place. */
void h2_start(struct h2_stream *s);
/* Places may have become free. */
void h2_start_waiting(struct h2_conn *h);
void h2_wait_no_more(struct h2_stream *s);

/* --- h2_in.c: bodies --- */

void h2_take_data(struct h2_stream *s, const uint8_t *p, size_t n);
/* Gives what was taken out of req.body back to the windows. */
void h2_credit(struct h2_stream *s);
void h2_tell_body(struct h2_stream *s);
void h2_body_is_late(struct h2_stream *s);
/* The answer is whole before the request is. */
void h2_linger(struct h2_stream *s);
void h2_want_body(struct req *r);
void h2_took_body(struct req *r);

/* --- h2_head_out.c --- */

int h2_head_keep(struct h2_stream *s, const struct resp_head *head);
/* With the first body call, of n bytes (`whole`: no more will come). `end`: nothing follows the head. */
int h2_head_submit(struct h2_stream *s, size_t n, bool whole, bool end);
int h2_interim_submit(struct h2_stream *s, unsigned status, const struct resp_field *fields, size_t n);

/* --- h2_out.c --- */

/* The last piece of the answer was given and taken. */
void h2_answered(struct h2_stream *s);

/* --- h2_send.c: frames --- */

/* nghttp2's data provider for the pending output of a stream. */
ssize_t h2_on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                   nghttp2_data_source *source, void *arg);
int h2_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                    nghttp2_data_source *source, void *arg);
/* Makes frames until nothing is left to be sent or the connection is full. */
void h2_send(struct h2_conn *h);
/* There is new output, or its end. */
void h2_resume(struct h2_stream *s);
/* Copies what is lent. 0, or -1: out of memory. */
int h2_own(struct h2_stream *s);
/* Forgets what is pending. */
void h2_drop_output(struct h2_stream *s);

/* --- h2_tunnel.c --- */

enum resp_result h2_upgrade(struct req *r, const struct resp_head *head, struct span protocol,
                            const struct proto_ops *proto, void *proto_data, struct conn **ret_conn);
/* The stream has ended, and with it the connection inside. */
void h2_tunnel_lost(struct h2_stream *s);

#endif
