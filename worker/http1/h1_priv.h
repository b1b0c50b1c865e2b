/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_priv.h: what the files of HTTP/1 share; no file outside this folder includes it. */
#ifndef TINE_HTTP_H1_PRIV_H
#define TINE_HTTP_H1_PRIV_H

#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "worker/http/site.h"
#include "worker/http1/h1_body.h"
#include "worker/http1/h1_guard.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/net/conn.h"

/* What is kept of a body before the handler takes it. An application that hands each piece to a thread, as
 * Starlette's UploadFile does, costs less the fewer there are. CONN_HIGH_MARK while a worker keeps much for its clients. */
#define H1_BODY_HIGH ((size_t)256 << 10)
/* Less than so much is copied from where it was read. */
#define H1_ROOM_MIN ((size_t)32 << 10)
/* What is thrown away of a body that was not read, so that the connection can be kept. */
#define H1_DRAIN_MAX (64u << 10)
#define H1_DRAIN_MS 1000

enum h1_state {
    H1_IDLE,    /* no byte of the next request */
    H1_HEAD,    /* a part of a head */
    H1_BODY,    /* a request runs, its body is still coming */
    H1_WAIT,    /* a request runs, all of it was received */
    H1_DRAIN,   /* answered; the rest of its body is thrown away */
    H1_CLOSING, /* conn_close() or conn_abort() was called */
    H1_LEFT,    /* another protocol has the connection: this is freed when the input loop ends */
};

enum h1_framing {
    H1_UNDECIDED,   /* no body call yet: the head is kept */
    H1_EMPTY,       /* no body on the wire */
    H1_COUNTED,     /* Content-Length */
    H1_CHUNKED,
    H1_UNTIL_CLOSE, /* HTTP/1.0 without Content-Length */
};

/* A connection is not a request: this one is small and lives as long as the connection. */
struct h1_conn {
    struct conn *conn;
    struct h1_req *cur; /* the request that is running or drained; NULL in IDLE and HEAD */
    struct h1_scan scan; /* of the head that is coming */
    size_t rest;        /* bytes after the present request in the input being processed */
    uint32_t drained;
    enum h1_state state;
    bool in_loop;       /* on_data is working: what comes next is started there */
    bool deferred;      /* an answer waits for others in this loop */
    bool served;        /* at least one request was complete */
    bool named;         /* client and server are set, and ... */
    uint32_t keepalive; /* http_keepalive() */
    struct endpoint client, server;
};

struct h1_req {
    struct req req; /* first */
    struct h1_conn *h;
    struct h1_body body;
    size_t head_len;
    enum h1_framing framing;
    bool dispatched;  /* the handler knows it */
    int8_t held;      /* score_hold() */
    bool wants_body;
    bool is_fast;     /* the latest piece of its body was no small one */
    bool has_date, has_server, has_length; /* the application's own fields are in the head */
    bool file_going;  /* bytes written meanwhile wait in `tail` */
    bool file_last;   /* the answer is complete after the file and the tail */
    bool last_chunk;  /* "0 CRLF" is written: trailers follow */
    size_t kept; /* what is kept for the client: the head, its body, and the application's copy of the head */
    struct buf head;  /* head of the answer, when it is not in h1_shared */
    struct buf tail;
    SLIST_ENTRY(h1_req) free;
};

/* Head of an answer and a small body after it are put together here: no allocation for the usual answer. */
#define H1_HEAD_ROOM (16u << 10)
#define H1_COPY_MAX (16u << 10) /* bodies from here on are written from where they are */

struct h1_shared {
    SLIST_HEAD(, h1_req) free;
    unsigned n_free;
    struct h1_limits limits;
    struct http_date date;
    struct h1_req *head_owner; /* whose head is in `out`; NULL = none */
    size_t head_len;
    char out[H1_HEAD_ROOM + H1_COPY_MAX + 64];
};

static inline struct h1_req *h1_of(struct req *r)
{
    return (struct h1_req *)r;
}

static inline struct h1_shared *h1_shared(const struct h1_conn *h)
{
    return site_of(h->conn)->h1.p;
}

/* h1_conn.c */
extern const struct resp_ops h1_resp_ops; /* h1_out.c */
struct h1_shared *h1_shared_new(const struct conf *conf);
void h1_shared_free(void *shared);
struct h1_req *h1_req_new(struct h1_conn *h);
/* Ends what has not been ended; sends nothing and leaves the connection as it is. */
void h1_end(struct h1_req *hr, enum req_end why);
/* What is kept for the present request. The second one says false, and counts nothing, where that is too much. */
void h1_weigh(struct h1_req *hr);
bool h1_may_keep(struct h1_req *hr) __attribute__((warn_unused_result));
/* Gives the present request back, if there is one. */
void h1_release(struct h1_conn *h);
/* The whole answer was given to the connection: on_end, then the next request, the rest of the body, or the close. */
void h1_answered(struct h1_req *hr);
/* Forgets the present request and closes when the output is sent. */
void h1_close(struct h1_conn *h);
/* The request cannot continue: `status` as the answer if none has started, else the connection is cut. */
void h1_fail(struct h1_req *hr, unsigned status, enum req_end why);
/* The same for a request that no handler has seen yet, with the reason in the text. */
void h1_fail_because(struct h1_req *hr, unsigned status, const char *because);

/* h1_head.c: looks for a head at p, starts its request. Returns bytes used; 0: no complete head yet. */
size_t h1_take_head(struct h1_conn *h, char *p, size_t n);
/* A head that will not become complete. */
void h1_refuse(struct h1_conn *h, const char *p, size_t n, unsigned status, const char *name);
/* What came in the clear where TLS is wanted. */
void h1_refuse_clear(struct h1_conn *h, const char *p, size_t n);

/* h1_in.c: takes body bytes; stops when the queue is full or the body ends. Returns bytes used. */
size_t h1_take_body(struct h1_conn *h, const char *p, size_t n);
/* Calls the handler if what it waits for is there. The request may be dead afterwards. */
void h1_tell_body(struct h1_req *hr);
bool h1_body_is_full(const struct h1_req *hr);
char *h1_room(struct conn *c, size_t *n); /* proto_ops.room */
void h1_want_body(struct req *r);
void h1_took_body(struct req *r);

/* h1_upgrade.c */
enum resp_result h1_upgrade(struct req *r, const struct resp_head *head, struct span protocol,
                            const struct proto_ops *proto, void *proto_data, struct conn **ret_conn);

/* h1_out.c: cuts the answer; on_end(why). */
void h1_cut(struct h1_req *hr, enum req_end why);
/* The file that was being sent is sent. */
void h1_file_sent(struct h1_req *hr);

/* Copies n bytes to where there is room for them; returns their end. H1_PUT: those of a literal. */
static inline char *h1_put(char *to, const void *p, size_t n)
{
    memcpy(to, p, n);
    return to + n;
}
#define H1_PUT(to, literal) h1_put(to, "" literal, sizeof(literal) - 1)

#endif
