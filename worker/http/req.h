/* SPDX-License-Identifier: BSD-3-Clause */
/* req.h: one request, the same for HTTP/1 and HTTP/2: its head as spans, its body as a bounded queue.
 *
 * Made by h1_conn (or h2_stream), judged by head_rules, rewritten by forwarded, answered by a handler (handler.h)
 * through resp.h. Knows no Python.
 *
 * Bytes of the head live at req->head and are addressed by offset, because the buffer moves once: out of the
 * connection's input, when the handler does not answer at once.
 */
#ifndef TINE_HTTP_REQ_H
#define TINE_HTTP_REQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/span.h"
#include "worker/net/pace.h"

struct conn;
struct handler;
struct resp_filtered;
struct resp_ops;
struct listener;

/* Offset and length into req->head. */
struct piece {
    uint32_t at, n;
};

struct field {
    struct piece name; /* lower-case: h1_conn lowers names in place */
    struct piece value; /* without surrounding OWS */
};

enum http_version { HTTP_1_0, HTTP_1_1, HTTP_2 };

/* Fields that the server itself looks at; req->known[] has the index of the first one of each + 1, 0 = absent. */
enum known_field {
    FIELD_HOST,
    FIELD_CONTENT_LENGTH,
    FIELD_TRANSFER_ENCODING,
    FIELD_CONNECTION,
    FIELD_EXPECT,
    FIELD_UPGRADE,
    FIELD_TE,
    FIELD_FORWARDED,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PORT,
    FIELD_X_FORWARDED_PREFIX,
    FIELD_REFERER,
    FIELD_USER_AGENT,
    FIELD_AUTHORIZATION,
    N_KNOWN_FIELDS
};

/* Where a request is on its way; only forward, set by req_set_state() alone. */
enum req_state {
    REQ_HEAD,      /* head is being judged */
    REQ_RUNNING,   /* the handler has it, no answer yet */
    REQ_HELD, /* resp_start() was called, its head is kept: no byte has left, so another answer may take its place */
    REQ_STARTED, /* the head has left, or will, whatever follows */
    REQ_ANSWERED, /* the last byte of the answer was given */
    REQ_ENDED, /* on_end() was called: the handler must not touch it again */
};

/* Address of one side: numeric host and port, or a path; what ASGI's client and server show. */
struct endpoint {
    char host[108]; /* "" = unknown; Unix: the path */
    int32_t port; /* -1 = none (Unix socket) */
};

/* Its place in the queues of admission.c, which alone touches it. */
enum req_turn_state { REQ_TURN_NONE, REQ_TURN_WAITS, REQ_TURN_RUNS };

struct req_turn {
    TAILQ_ENTRY(req) link;
    enum req_turn_state state;
    uint64_t since_ms; /* clock_ms() when it came into its queue */
};

TAILQ_HEAD(reqs, req);

/* Its place among the heads that wait for a body (held.c, which alone touches it). */
struct req_held {
    TAILQ_ENTRY(req) link;
    struct reqs *in; /* NULL: in none */
    uint64_t since_ms;
};

#define REQ_NO_MOUNT UINT8_MAX

struct req {
    /* head */
    char *head; /* bytes of the head; owned if head_owned */
    bool head_owned;
    enum http_version version;
    struct piece method; /* as received (upper-case tokens; case matters) */
    struct piece target; /* as received */
    struct piece path; /* absolute path part of the target, not decoded; "*" for OPTIONS * */
    struct piece query; /* after '?', may be empty */
    struct piece protocol; /* HTTP/2, method CONNECT: what is to be spoken (RFC 8441), "websocket"; n = 0: not that */
    struct field *fields;
    uint32_t n_fields, cap_fields;
    uint16_t known[N_KNOWN_FIELDS];
    bool keep_alive; /* decided at the end of the head, cleared when the answer closes */
    bool expect_continue; /* 100-continue asked for and not sent yet */
    bool is_head; /* method HEAD */
    bool te_trailers; /* TE: trailers */
    bool alone; /* nothing behind it waits for its answer: the handler may begin a little later, and answer later */

    /* who and where; after PROXY protocol and trusted forwarded fields */
    const struct endpoint *client; /* NULL = Unix socket; into the connection, or own_client */
    const struct endpoint *server;
    struct endpoint *own_client; /* set by forwarded; freed with the request */
    struct piece prefix; /* of a trusted proxy, in the place of app.root_path: "/outer"; n = 0: none */
    bool https; /* scheme */
    struct piece id, trace; /* value of x-request-id, digits of traceparent; by tracing.c; n = 0: none */

    /* body */
    struct buf body; /* received and not yet taken */
    size_t body_high; /* set by a handler that wants more of it at a time, where the protocol can; 0: it does not */
    uint64_t body_received; /* bytes so far, without framing */
    int64_t content_length; /* -1 = none */
    bool chunked;
    bool body_complete; /* all of it was received */
    bool body_lost; /* the client went away before it was complete */
    struct pace body_pace; /* while the handler waits for it */

    /* answer */
    enum req_state state;
    uint16_t status; /* 0 = none yet; of a request that has ended: none was sent */
    uint8_t mount; /* which application answers: 0: that of [app]; i + 1: a mount; REQ_NO_MOUNT: none */
    uint8_t end; /* enum req_end: what on_end says when the answer is complete */
    uint64_t sent_body; /* body bytes of the answer, without framing */
    int64_t answer_length; /* Content-Length of the answer; -1 = none given */
    bool answer_empty; /* no body bytes on the wire: HEAD, 204, 205, 304 */
    bool answer_trailers; /* resp_trailers() calls will follow the body */
    bool lends; /* set by the handler for the present resp_body(): see RESP_LEND_MIN */
    /* The last byte was given: by resp_error(), or of more body than fits. The request has ended, whatever waits to be sent,
     * or its client has gone and it ends with the connection. */
    bool answer_unbound;
    uint64_t started_ns; /* clock_ns() at the end of the head */
    uint64_t begun_ns; /* when the handler began with it after a wait; 0: at once, as far as known */
    uint64_t answered_ns; /* of resp_start(), noted only if log.slow_request is set; else 0 */
    struct req_held held;
    struct resp_filtered *filtered; /* by a resp_filter; NULL: the answer goes out as it is */
    struct buf logged_fields; /* fields of the answer, "name\0value\0", kept only if the access log asks */

    struct conn *conn;
    const struct listener *listener;
    const struct resp_ops *ops; /* how h1 or h2 sends the answer */
    void *proto; /* h1_conn or h2_conn */
    struct handler *handler;
    struct req_turn turn;
    void *user; /* the handler's own */
};

static inline struct span req_span(const struct req *r, struct piece at)
{
    return (struct span){ r->head + at.at, at.n };
}

/* Value of the first field of this kind; p = NULL if absent. */
static inline struct span req_known(const struct req *r, enum known_field which)
{
    if (!r->known[which])
        return (struct span){ NULL, 0 };
    return req_span(r, r->fields[r->known[which] - 1].value);
}

/* First field with this lower-case name; p = NULL if absent. */
struct span req_field(const struct req *r, struct span name);

/* Bytes of the head, up to the last that is pointed at. */
size_t req_head_size(const struct req *r);

/* What every protocol fills alike in a zeroed request, once its head has arrived. `client` and `server` are what
 * endpoints_of() says of the connection and outlive the request. Left to the protocol: version, ops, proto and the
 * head. */
void req_begin(struct req *r, struct conn *c, const struct endpoint *client, const struct endpoint *server);

/* Forgets everything but the memory of `fields` and a small `body`. */
void req_reset(struct req *r);
/* Gives all memory back. */
void req_done(struct req *r);

/* Numeric host and port; `path` is the host of a Unix socket. */
void endpoint_set(struct endpoint *e, const struct sockaddr *sa, const char *path);

/* How long the connection is kept open for its next request, in ms (http.keepalive). */
uint64_t http_keepalive(const struct conn *c);

/* Both ends of a connection, as its requests see them. */
void endpoints_of(const struct conn *c, struct endpoint *client, struct endpoint *server);

/* Moves forward; asserts that `to` is later than the present state. */
void req_set_state(struct req *r, enum req_state to);
/* The last state, for protocols. An answer of which no byte has left is not counted or logged as one: its status is 0. */
void req_end(struct req *r);

/* --- for handlers: the body --- */

/* Bytes received and not yet taken. Take them with req_body_take(), which may let the connection read on. */
static inline struct span req_body(const struct req *r)
{
    return buf_span(&r->body);
}
void req_body_take(struct req *r, size_t n);
/* Moves the whole body, in two steps so that the first can run under the caller's lock: adds it to `to`, by exchanging
 * memory if that is empty; 0, or -1: out of memory, nothing moved. The second does what req_body_take() does for the
 * connection. */
int req_body_move(struct req *r, struct buf *to) __attribute__((warn_unused_result));
void req_body_moved(struct req *r);

/* No more bytes will follow those in req_body(). */
static inline bool req_body_ended(const struct req *r)
{
    return r->body_complete;
}

/* The application waits for body bytes: sends 100-continue if the client waits for it and no answer has started, starts
 * the body timeout and continues reading. handler_ops.on_body follows when more has come than is there now, or the end;
 * at once if the body is complete. Not with a full queue (64 KB): take some first. */
void req_body_want(struct req *r);

/* For protocols: how many ms the handler's wait may still last; 0: the client is too slow (http.body_timeout,
 * body_min_rate). */
uint64_t req_body_patience(const struct req *r);
/* n bytes came; the wait begins, or ends. */
void req_body_came(struct req *r, uint64_t n);
void req_body_waits(struct req *r, bool waits);

/* The handler has reported to the application that the client is gone (after on_peer_eof): nothing more is sent, the
 * connection closes. on_end(REQ_END_CLIENT_GONE) follows at once. */
void req_abandon(struct req *r);

#endif
