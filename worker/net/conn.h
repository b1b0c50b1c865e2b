/* SPDX-License-Identifier: BSD-3-Clause */
/* conn.h: a connection: one socket, its input and output, its deadline. The only place that closes and frees.
 *
 * Input is read into a buffer shared by all connections of the worker; only what the protocol does not use at once is
 * kept, so an idle connection holds none. Output is written at once; what the socket does not take is kept and written
 * when it can be. Above the high mark (64 KB) writes say LATER, below the low mark (16 KB) on_drained follows.
 *
 * Reading is edge-triggered: pausing and resuming cost no system call, and the end of the peer is noticed while reading
 * is paused, without a busy loop. The event base must have EV_FEATURE_ET and EV_FEATURE_EARLY_CLOSE (epoll).
 *
 * Nothing is freed inside its own callback: conn_close() and conn_abort() mark and queue; net_turn(), once a loop turn,
 * frees. After them the protocol gets on_close (from the sweep) and nothing else. The process must ignore SIGPIPE.
 */
#ifndef TINE_NET_CONN_H
#define TINE_NET_CONN_H

#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/buf.h"
#include "worker/net/deadline.h"
#include "worker/net/memory.h"
#include "worker/net/pace.h"
#include "worker/net/proto.h"
#include "worker/net/sent.h"
#include "worker/net/transport.h"

struct conf;
struct event_base;
struct limits;
struct listener;
struct score;
struct site;
struct tls;

#define CONN_HIGH_MARK ((size_t)64 << 10)
#define CONN_LOW_MARK (16u << 10)
#define CONN_LINGER_MAX (256u << 10)
#define CONN_BEHIND_MAX 8

enum conn_state {
    CONN_OPEN,
    CONN_FLUSHING,  /* close when the output is sent */
    CONN_LINGERING, /* sending side ended; input is thrown away for a while so that the peer can read our last answer */
    CONN_DEAD /* queued for the sweep */
};

/* An address without the path of a Unix socket (that is the listener's), so that idle connections stay small. */
union conn_addr {
    struct sockaddr sa;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

struct conn {
    enum conn_state state;
    int fd;
    const struct transport_ops *transport;
    void *transport_data;
    const struct proto_ops *proto;
    void *proto_data;
    struct net *net;
    const struct listener *listener;

    struct event read_event, write_event;
    unsigned n_left; /* applications that work on for requests that are lost: conn_count_left() */
    bool paused; /* by conn_pause() */
    bool readable; /* an event came while reading was paused, or reading stopped before the socket was empty */
    bool peer_hup; /* the peer's end was seen coming: read until it */
    bool peer_eof;
    bool wrote; /* the socket took bytes since the last read: an error on it would have shown */
    bool linger; /* set by the protocol: input may be left unread when it closes */
    bool shared; /* set by the protocol: many requests have it at a time, so none of them may close or take it */
    bool writing; /* write_event is added */
    bool over_high; /* a write said LATER: on_drained is owed */
    bool flush_queued, again_queued;
    uint8_t doubt_age; /* 0: not in doubt; 1, 2: in net->doubts[0], [1] */
    bool sized; /* its send buffer was looked at: conn_writev_lent() */
    bool file_short; /* the file ended before file_left was 0; the connection was aborted */
    uint32_t linger_left; /* bytes that will still be thrown away */
    bool over_limit; /* its client has too many (conn_limit.h) */
    uint16_t limit_place; /* of limits_open() + 1; 0: not counted */
    uint8_t end; /* enum conn_end, once dead */

    struct buf in; /* bytes not used by the protocol yet */
    struct buf out; /* bytes not taken by the socket yet */
    struct span lent; /* the caller's bytes, to be sent after `out`; n = 0: none */
    char behind[CONN_BEHIND_MAX]; /* to be sent after `lent` */
    uint8_t n_behind;
    int file_fd; /* -1, or a file to be sent after `out` */
    off_t file_at;
    uint64_t file_left;
    uint64_t deferred_since_ns; /* when the oldest byte of a deferred write came; 0 = none */

    struct memory_share share; /* what is kept for it, by whomever */
    size_t buffers, lent_kept; /* parts of that: `in` and `out`; `lent` */

    struct deadline deadline;
    struct deadline write_deadline; /* armed while output waits; a peer that does not take it in time is aborted */
    struct pace write_pace;
    uint64_t kernel_had; /* bytes that the kernel kept for the peer when that was looked at last: conn_too_slow.c */

    union conn_addr peer; /* after PROXY protocol: what it said */
    union conn_addr local;
    void *user; /* the handler's own, released by handler_ops.on_conn_close */
    TAILQ_ENTRY(conn) all;
    SLIST_ENTRY(conn) dead, flush, again, doubt;
};

/* Everything that the connections of one worker share. */
struct net {
    struct event_base *base;
    const struct conf *conf;
    struct score *score;
    struct limits *limits; /* of all workers, and ... */
    unsigned slot; /* which of them this is; the owner sets both; NULL: nothing is counted */
    struct site *site; /* http/site.h; opaque here */
    /* Who speaks first on a new connection (c->proto is NULL), and who after PROXY protocol or TLS: worker/protocols.c */
    const struct proto_ops *(*choose_proto)(struct conn *c);
    const struct proto_ops *not_tls; /* answers those who do not speak TLS where they must; NULL: they are cut */
    struct tls *tls; /* NULL: nothing listens with TLS */
    struct memory memory; /* what is kept for all of them */
    struct deadline trim; /* free memory is given back to the system */
    uint64_t warned_ms; /* when the log said that too much is kept; 0 = never */
    struct wheel wheel;
    bool draining;
    unsigned n_conns;
    char *scratch; /* shared input buffer */
    size_t scratch_size;
    TAILQ_HEAD(conn_list, conn) conns;
    SLIST_HEAD(conn_dead, conn) dead;
    SLIST_HEAD(conn_flush, conn) flush;
    SLIST_HEAD(conn_again, conn) again; /* to be looked at in the next turn: replay, reading on, writing on */
    SLIST_HEAD(conn_doubts, conn)
    doubts[2]; /* read from, maybe with an error after the bytes: for less than a period, for more */
    struct event doubt_event; /* the end of a period */
    struct event again_event; /* active while `again` is not empty */
    void (*on_conn_gone)(void *arg); /* by accept.c: there is room for another connection; may be NULL */
    void *on_conn_gone_arg;
    bool gathers; /* between net_gather() and net_leave() */
    void (*on_empty)(void *arg);
    void *on_empty_arg;
};

/* 0, or -1 with errno (ENOTSUP: the event base lacks a feature). site and choose_proto are the caller's to set. */
int net_init(struct net *net, struct event_base *base, const struct conf *conf, struct score *score);
/* Closes all connections (CONN_END_SHUTDOWN), sweeps, gives memory back. */
void net_done(struct net *net);
/* Once a loop turn, before waiting: writes deferred output, frees the dead. */
void net_turn(struct net *net);
/* Tells every connection that the worker drains (proto on_shutdown). */
void net_shutdown(struct net *net);
/* Ends every connection (proto on_cut); some may take a moment to send their last answer. */
void net_cut(struct net *net);
/* Several answers are about to be made: small ones may stay until net_leave() and leave then, one after the other. Both take a
 * struct net. */
void net_gather(void *net);
void net_leave(void *net);
/* As much was kept in this turn as should be; for the same caller. */
bool net_is_full(void *net);
/* Calls fn(arg) when the last connection is gone (at once if there is none). */
void net_on_empty(struct net *net, void (*fn)(void *arg), void *arg);

/* Takes over an accepted, non-blocking socket (TCP: with TCP_NODELAY). NULL: out of memory, fd closed. */
struct conn *conn_open(struct net *net, int fd, const struct listener *listener, const struct sockaddr *peer,
                       socklen_t peer_len);

/* A connection inside another one: no socket, its bytes go where the transport puts them. It has the addresses of
 * `outer` and is of protocol `proto`, whose open is not called. The transport says conn_can_read() and conn_can_write();
 * its done() is called when the connection has ended. NULL: out of memory. */
struct conn *conn_open_inner(struct conn *outer, const struct transport_ops *transport, void *transport_data,
                             const struct proto_ops *proto, void *proto_data);
/* For such a transport, from the loop: there is something to read, or the end; what did not go before can be written. */
void conn_can_read(struct conn *c);
void conn_can_write(struct conn *c);
/* proto->on_turn_end() follows, once, at the end of this turn of the loop. */
void conn_at_turn_end(struct conn *c);
/* For handlers: +1: the application works on though its request has ended before its time; -1: no more. Then the protocol
 * may start what waited for that. */
void conn_count_left(struct conn *c, int change);

/* Writes now (or after what is waiting); bytes are copied if they must be kept. */
enum sent conn_writev(struct conn *c, const struct iovec *v, int n);
/* Like conn_writev, but what the socket does not take of v[lent] is not copied if it is much: after LATER the caller
 * keeps those bytes as they are until on_drained or on_close, or takes them back by conn_own(). Behind v[lent] there are
 * at most CONN_BEHIND_MAX bytes. Later writes copy what is lent: it costs memory, never order. */
enum sent conn_writev_lent(struct conn *c, const struct iovec *v, int n, int lent);
/* The lent bytes are about to go away: copies what is unsent of them. */
void conn_own(struct conn *c);
/* Like conn_writev, but leaves the bytes in `out` until the end of the turn, 64 KB or 5 ms, whichever is first. */
enum sent conn_writev_deferred(struct conn *c, const struct iovec *v, int n);
/* Writes deferred bytes now instead of at the end of the turn. */
void conn_flush(struct conn *c);
/* For a handler that cannot return to the loop: waits in place, up to ms, until the socket takes some of what waits to
 * be written; on_drained may come. False: it did not, or the connection is dead. */
bool conn_push(struct conn *c, uint64_t ms);
/* Room for direct formatting after `out` of at least n bytes; then conn_commit() (write = now) or leave deferred. */
char *conn_reserve(struct conn *c, size_t n);
enum sent conn_commit(struct conn *c, size_t n, bool now);
/* Sends a file after what is waiting; LATER until sent, then on_drained. One at a time (asserted). */
enum sent conn_send_file(struct conn *c, int fd, off_t at, uint64_t n);
/* Bytes not yet given to the kernel, file included. */
uint64_t conn_unsent(const struct conn *c);

/* Stops and starts reading. Starting while bytes are kept queues a replay of them. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
/* Offers kept bytes to the protocol again in the next turn, never inside this call. */
void conn_replay(struct conn *c);

/* ms from now; replaces an earlier one. Accurate to 0.25 s. conn_no_deadline() is cheap. */
void conn_set_deadline(struct conn *c, uint64_t ms);
void conn_no_deadline(struct conn *c);

/* Closes after the output is sent; lingers (up to 2 s, 256 KB; RFC 9112 9.6) when input was left unread or may be
 * (conn->linger), so that the peer gets the answer. */
void conn_close(struct conn *c);
/* Closes at once: with RST if `reset`, so that the peer notices a cut answer. */
void conn_abort(struct conn *c, bool reset);
/* Gives the socket away to a library that reads, writes and closes it: nothing may be waiting in `out`; bytes in `in` are
 * the caller's to take. The connection stays, without a socket, for its deadline, for net_shutdown() and to be counted,
 * until conn_abort(). Returns the descriptor, which stays owned (forked.h) until forked_disown(). */
int conn_lend(struct conn *c);
/* A part of what is kept for this connection stands for n bytes from now on: memory_hold(), memory_keep(). */
static inline bool __attribute__((warn_unused_result)) conn_hold(struct conn *c, size_t *part, size_t n)
{
    return memory_hold(&c->net->memory, &c->share, part, n);
}
static inline void conn_keep(struct conn *c, size_t *part, size_t n)
{
    memory_keep(&c->net->memory, &c->share, part, n);
}
/* Changes the protocol; neither the old one's on_close nor the new one's open is called: proto_data is the caller's
 * business. Inside on_data, bytes that the old one did not use are offered to the new one at once. */
void conn_set_proto(struct conn *c, const struct proto_ops *proto);

#endif
