/* SPDX-License-Identifier: BSD-3-Clause */
/* resp.h: how an answer is sent, the same for HTTP/1 and HTTP/2. Rules that hold for every handler live here: fields
 * checked, Content-Length held to, framing chosen, no body for HEAD, 204, 205 and 304.
 *
 * The head is held until the first body call, so that both leave in one write (REQ_HELD). As long as it is, no byte has
 * left: whatever fails in that state is answered with an error in its place, because a client that sees its connection
 * end without a byte may send the request again (RFC 9112 9.3.1), and proxies and libraries do.
 *
 * A body call with more = false is written at once; bytes of calls with more = true leave together at the end of the loop
 * turn, or when 64 KB are waiting, or when the first of them has waited for 5 ms.
 */
#ifndef TINE_HTTP_RESP_H
#define TINE_HTTP_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/span.h"
#include "worker/net/sent.h"

struct conn;
struct proto_ops;
struct req;

enum resp_result {
    RESP_SENT = SENT, /* taken; continue */
    RESP_LATER = LATER, /* taken, the buffer is above its high mark: wait for on_drained (on_end if it was the last) */
    RESP_GONE = GONE, /* the client is gone, nothing was taken; on_end was or will be called */
    RESP_BAD_FIELD, /* resp_start, resp_trailers: a field name is no token or a value has a control character; nothing sent */
    RESP_BAD_LENGTH, /* resp_start: Content-Length is no number of at most 18 digits; nothing sent */
    RESP_TWO_LENGTHS, /* resp_start: two of them that differ; nothing sent */
    RESP_BAD_TRAILER, /* resp_trailers: Content-Length, which cannot come after the body; nothing sent */
    RESP_BAD_STATUS, /* resp_start: not 200..999; nothing sent */
    RESP_TOO_LONG, /* more body than Content-Length: what fits was sent, then the connection closes; on_end was called */
    RESP_TOO_SHORT, /* less body than Content-Length at the end: 500, or the connection is cut; on_end was called */
    RESP_NO_MEMORY, /* the connection is cut; on_end was called */
};

/* What the connection said, where nothing else can be wrong. */
static inline enum resp_result resp_result_of(enum sent sent)
{
    return (enum resp_result)sent;
}

/* Whether the call came to nothing, or to less than was asked for. */
static inline bool resp_failed(enum resp_result result)
{
    return result != RESP_SENT && result != RESP_LATER;
}

struct resp_field {
    struct span name, value;
};

struct resp_head {
    unsigned status; /* 200..999 */
    const struct resp_field *fields;
    size_t n_fields;
    struct span reason; /* of the application's own, for HTTP/1.1: no control characters; n = 0: the registered one */
    bool trailers; /* resp_trailers() calls follow the body */
    bool dynamic; /* made by an application: the filter may take it, see struct resp_filter */
};

/* Once per request. Fields connection: close, content-length, date, server are honoured; transfer-encoding and other
 * connection options are dropped. Spans are copied. RESP_GONE also once resp_error() has answered and on_end is still to come,
 * which is so of a client that has gone. */
enum resp_result resp_start(struct req *r, const struct resp_head *head) __attribute__((warn_unused_result));

/* A body of at least RESP_LEND_MIN bytes whose caller has set r->lends is not copied when the socket is full: the caller
 * keeps the bytes as they are until the result is not RESP_LATER or on_drained or on_end came. */
#define RESP_LEND_MIN (64u << 10)

/* The bytes are sent or copied before it returns (or lent, see above). With more = false this ends the answer (unless trailers follow). */
enum resp_result resp_body(struct req *r, struct span bytes, bool more) __attribute__((warn_unused_result));

/* Sends `count` bytes of a file from `offset` by sendfile(2) where the transport can. The descriptor must stay open
 * until the result is not RESP_LATER or on_drained/on_end came; it is not closed here. A file that turns out shorter
 * counts as RESP_TOO_SHORT. If no head was sent yet, more = false and the head had no Content-Length, one is added. */
enum resp_result resp_file(struct req *r, int fd, off_t offset, size_t count, bool more)
    __attribute__((warn_unused_result));

/* Trailer fields, after the body; more = true if another call follows. Left out on the wire unless the client sent
 * TE: trailers and the body is chunked. */
enum resp_result resp_trailers(struct req *r, const struct resp_field *fields, size_t n, bool more)
    __attribute__((warn_unused_result));

/* An interim answer (103 Early Hints); dropped for HTTP/1.0 and once the final answer has started. */
enum resp_result resp_interim(struct req *r, unsigned status, const struct resp_field *fields, size_t n)
    __attribute__((warn_unused_result));

/* Answers 101 (HTTP/2: 200) and gives the connection (HTTP/2: one inside the stream) to `proto` with `proto_data`: the request ends (on_end(REQ_END_COMPLETE)), bytes
 * after its head go to the new protocol, and HTTP keeps nothing. `protocol` is what Upgrade says. head->status is 101;
 * head->fields are checked as by resp_start(). Only before resp_start() and with the whole body received (asserted).
 * RESP_SENT or RESP_LATER: done, *ret_conn is that connection. RESP_GONE: on_end was or will be called. Otherwise nothing was sent. */
enum resp_result resp_upgrade(struct req *r, const struct resp_head *head, struct span protocol,
                              const struct proto_ops *proto, void *proto_data, struct conn **ret_conn)
    __attribute__((warn_unused_result));

/* A short plain-text answer by the server itself with Connection: close; only while no byte of another has left
 * (REQ_HELD at most, asserted): a head that is held is dropped. on_end() is called, with REQ_END_COMPLETE unless req->end
 * says otherwise. */
void resp_error(struct req *r, unsigned status);
/* The same, with a reason of at most 100 bytes in the text. */
void resp_error_because(struct req *r, unsigned status, const char *because);

/* The same with Retry-After, in seconds. */
void resp_error_retry(struct req *r, unsigned status, unsigned seconds);

/* The application failed: 500 if no byte of its answer has left. Otherwise cuts the connection so that the client
 * sees a truncated answer; h2: RST_STREAM. on_end(REQ_END_ABORTED) is called. */
void resp_abort(struct req *r);

/* Writes now what body calls with more = true have left for the end of the turn: the handler may hold the loop for a
 * while. Nothing if no answer is under way. */
void resp_flush(struct req *r);

/* For protocols: the output of the answer fell below its low mark (handler_ops.on_drained). */
void resp_drained(struct req *r);

/* For error_resp.c, in REQ_HELD: drops the head; resp_start() may be called once more. */
void resp_withdraw(struct req *r);

/* For filters: what resp_start() ends with, once the fields are the final ones. */
enum resp_result resp_begin(struct req *r, const struct resp_head *head);

/* The handler has given the whole answer, whether or not it could be sent already. */
bool resp_is_given(const struct req *r);

/* Before an answer is cut whose handler may then release what it lent (RESP_LEND_MIN): what was given is copied, or
 * dropped for lack of memory. Ends nothing. */
void resp_own(struct req *r);

/* For handlers that check fields early, while the application can still be blamed: whether resp_start() will take the
 * field; its value as Content-Length, -1 if that is not a number. */
bool resp_field_is_good(const struct resp_field *f);
int64_t resp_read_length(struct span value);

/* What is wrong with the fields or the status of an answer, for its application; NULL: the result is another. */
const char *resp_fault(enum resp_result result);

/* How a protocol does it; the checks above are done by resp.c before. */
struct resp_ops {
    const char *name;
    /* Holds the head until the first call of those below, which sets REQ_STARTED. */
    enum resp_result (*start)(struct req *r, const struct resp_head *head);
    /* In REQ_HELD: forgets the head; start() follows with another. */
    void (*withdraw)(struct req *r);
    enum resp_result (*body)(struct req *r, struct span bytes, bool more);
    enum resp_result (*file)(struct req *r, int fd, off_t offset, size_t count, bool more);
    enum resp_result (*trailers)(struct req *r, const struct resp_field *fields, size_t n, bool more);
    enum resp_result (*interim)(struct req *r, unsigned status, const struct resp_field *fields, size_t n);
    enum resp_result (*upgrade)(struct req *r, const struct resp_head *head, struct span protocol,
                                const struct proto_ops *proto, void *proto_data, struct conn **ret_conn);
    void (*abort)(struct req *r);
    void (*flush)(struct req *r); /* resp_flush() */
    void (*own)(struct req *r); /* resp_own() */
    void (*want_body)(struct req *r); /* req_body_want() */
    void (*took_body)(struct req *r); /* after req_body_take(): the queue has room again */
    void (*abandon)(struct req *r); /* req_abandon() */
};

/* What may stand between resp.c and the protocol for answers that applications make (coding/compress.c; site.h has the one
 * there is). For an answer that it takes it sets r->filtered and replaces r->ops by its own resp_ops, which call
 * the ones that were there. */
struct resp_filter {
    const struct resp_filter_ops *ops;
};

/* Embedded at the start of what a filter keeps for one answer. */
struct resp_filtered {
    const struct resp_filter_ops *ops;
};

struct resp_filter_ops {
    const char *name;
    /* In the place of resp_ops.start: takes the answer, or passes it on by resp_begin(). */
    enum resp_result (*start)(struct resp_filter *f, struct req *r, const struct resp_head *head);
    /* The rest for requests whose r->filtered is this filter's. A file is about to be sent; the filter may let go of the
     * answer. RESP_SENT: continue. */
    enum resp_result (*before_file)(struct req *r);
    /* The application's own Content-Length (-1: none) and how much of the body it has given. */
    void (*given)(const struct req *r, int64_t *ret_length, uint64_t *ret_given);
    /* The last of the body was given; some of it may still wait in the filter. */
    bool (*is_given)(const struct req *r);
    /* In REQ_HELD: no byte of the answer has left, and none will. Restores r->ops and lets go of the answer. */
    void (*withdraw)(struct req *r);
    /* The protocol's output fell below its low mark: continues, and passes on_drained on when it has room. */
    void (*drained)(struct req *r);
    /* The request is about to be forgotten. */
    void (*drop)(struct resp_filtered *filtered);
};

/* Reason phrase of a status, "" if unknown (IANA HTTP Status Code Registry). */
const char *resp_reason(unsigned status);

#endif
