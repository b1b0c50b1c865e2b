/* SPDX-License-Identifier: BSD-3-Clause */
/* scoreboard.h: one shared anonymous mapping made by the master before it forks; a slot per worker, written by that
 * worker alone (relaxed atomics, no locks) and read by the master. What a dead worker had counted is kept in the sums of
 * the past, so that no total ever goes back.
 *
 * A worker whose application was taken over can write anything into the mapping: the master keeps what it counts and
 * bounds itself by in its own memory, and takes no text of a worker for terminated. */
#ifndef TINE_COMMON_SCOREBOARD_H
#define TINE_COMMON_SCOREBOARD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/exemplar.h"
#include "common/histogram.h"
#include "common/shared.h"

#define SCORE_REQUESTS 16 /* kept of one worker; more are only counted */
#define SCORE_LINE 160
#define SCORE_CLIENT 48
#define SCORE_STATUSES 501    /* 100 to 599; the last one: 600 and more, or no answer at all */
#define SCORE_ROUTES 32       /* of one worker; the last one stands for all others */
#define SCORE_ROUTES_ALL 64   /* in the sums; likewise */
#define SCORE_ROUTE 64
#define SCORE_ROUTE_OTHERS "others"
#define SCORE_MOUNTS 32 /* applications, of [app] and of mounts; the last one stands for all others */
#define SCORE_MOUNT 64

enum score_method {
    SCORE_GET,
    SCORE_HEAD,
    SCORE_POST,
    SCORE_PUT,
    SCORE_PATCH,
    SCORE_DELETE,
    SCORE_OPTIONS,
    SCORE_METHOD_OTHER,
    SCORE_METHODS
};

/* A request that is being answered, as much of it as fits; not escaped. */
struct score_request {
    uint64_t started_ns;
    char line[SCORE_LINE];     /* "GET /path HTTP/1.1", terminated */
    char client[SCORE_CLIENT]; /* "127.0.0.1", terminated; "": none */
};

/* What was slow, by the place in the application: a bounded number of them, in the order of their first appearance. */
struct score_route {
    char name[SCORE_ROUTE];       /* "GET /users/:id", terminated, never changed; not escaped */
    _Atomic(uint64_t) blocked;    /* steps of the event loop past app.blocking_warning */
    _Atomic(uint64_t) blocked_ns; /* what they took in all */
    _Atomic(uint64_t) slow;       /* requests past log.slow_request */
};

/* Of one application, by the path under which it is mounted. */
struct score_mount {
    char name[SCORE_MOUNT]; /* "/api"; "/": that of [app]; terminated, never changed; "": none */
    _Atomic(uint64_t) requests, errors; /* that are over; of these with 5xx */
    _Atomic(uint64_t) took_ns; /* what they took in all */
};

struct score {
    _Alignas(64) _Atomic(pid_t) pid;
    _Atomic(uint64_t) heartbeat_ns; /* clock_ns() of the last loop turn */
    _Atomic(uint32_t) held;         /* which of `request` are in use, as bits */
    _Atomic(uint32_t) accepting;    /* 1: takes connections from the listening sockets */
    _Atomic(uint32_t) seat;         /* reuseport: its number among the workers; by the master */
    _Atomic(uint32_t) n_routes;     /* of `route` */
    _Atomic(int64_t) tls_expires;   /* the first of its certificates to do so, seconds since 1970; 0: it has none */
    char tls_expires_path[SCORE_LINE]; /* the file of that one, terminated; text for people */
#define SCORE_COUNTER(field, family, labels, unit, help) _Atomic(uint64_t) field;
#define SCORE_GAUGE(field, family, labels, help) _Atomic(uint32_t) field;
#include "common/score_figures.def"
    _Atomic(uint64_t) method[SCORE_METHODS];
    struct histogram queue; /* how long requests have waited for their turn or a thread, those that did */
    struct score_mount mount[SCORE_MOUNTS];
    struct histogram latency; /* from the end of a request's head to the end of its answer */
    struct exemplar exemplar[EXEMPLARS]; /* of these, with http.traceparent */
    _Atomic(uint64_t) status[SCORE_STATUSES];
    struct score_route route[SCORE_ROUTES];
    struct score_request request[SCORE_REQUESTS];
};

struct score_route_sum {
    char name[SCORE_ROUTE];
    uint64_t blocked, blocked_ns, slow;
};

struct score_mount_sum {
    char name[SCORE_MOUNT];
    uint64_t requests, errors, took_ns;
};

/* A reader's copy: of one worker, or of several and the past. */
struct score_sums {
#define SCORE_COUNTER(field, family, labels, unit, help) uint64_t field;
#define SCORE_GAUGE(field, family, labels, help) uint64_t field;
#include "common/score_figures.def"
    int64_t tls_expires;
    uint64_t method[SCORE_METHODS];
    uint64_t status[SCORE_STATUSES];
    struct histogram_sum queue, latency;
    unsigned n_mounts;
    struct score_mount_sum mount[SCORE_MOUNTS];
    unsigned n_routes;
    struct score_route_sum route[SCORE_ROUTES_ALL];
};

/* Written by the master, for the workers to read. */
struct score_common {
    _Atomic(uint32_t) used;   /* slots from here on were never anybody's */
    _Atomic(int32_t) utc_offset; /* of the server's time zone: seconds east of UTC */
    _Atomic(uint32_t) seated; /* reuseport: how many workers there are */
    _Atomic(uint32_t) leaves; /* 1: the service was asked to stop, and goes on serving for server.drain_delay */
};

struct scoreboard {
    unsigned n;
    unsigned used; /* the master's own: slots from here on are not touched, so that they take no memory */
    struct score_sums past; /* of the dead, by the master alone */
    struct score_common *common; /* shared from here on */
    struct score *slot;
    struct shared shared; /* the memory behind them */
};

/* Shared, zeroed, n slots. NULL with errno. */
struct scoreboard *scoreboard_new(unsigned n);
/* In a worker that is another program: by the descriptor of `shared`, which it takes over. NULL with errno. */
struct scoreboard *scoreboard_map(int fd, unsigned n);
void scoreboard_free(struct scoreboard *board);
/* By the master, when the slot has no worker: its totals go to the past, the rest is forgotten. */
void scoreboard_clear(struct scoreboard *board, unsigned slot);
/* By the master: everything since the start, gauges as they are now. Later sums are never smaller. */
void scoreboard_sum(const struct scoreboard *board, struct score_sums *ret_sums);
/* Adds one worker's figures, of its present life. */
void score_read(const struct score *score, struct score_sums *to);

static inline bool scoreboard_leaves(const struct scoreboard *board)
{
    return atomic_load_explicit(&board->common->leaves, memory_order_relaxed) != 0;
}

const char *score_method_name(enum score_method method);
/* 1 to 5 of 1xx to 5xx; 0: everything else. */
uint64_t score_status_class(const struct score_sums *sums, unsigned class);

/* By the worker: remembers a request. Its index, or -1: no room. What the master reads meanwhile may be
 * half of two requests; it is text for people. */
int score_hold(struct score *score, const char *line, size_t n, const char *client, uint64_t now_ns);
/* -1: nothing. */
static inline void score_let_go(struct score *score, int index)
{
    if (index >= 0)
        atomic_store_explicit(&score->held, atomic_load_explicit(&score->held, memory_order_relaxed) & ~(1u << index),
                              memory_order_relaxed);
}
/* By the master: copies what is held, each text terminated. How many. */
unsigned score_read_requests(const struct score *score, struct score_request to[SCORE_REQUESTS]);

/* By the worker, before its first request: the application number i is mounted there. */
void score_name_mount(struct score *score, unsigned i, const char *prefix);

/* By the worker: the row of this route, or the one of the others when there are too many. */
struct score_route *score_route(struct score *score, const char *name, size_t n);

static inline void score_add32(_Atomic(uint32_t) *field, int32_t by)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + (uint32_t)by,
                          memory_order_relaxed);
}

static inline void score_add64(_Atomic(uint64_t) *field, uint64_t by)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + by, memory_order_relaxed);
}

/* One of this application has ended. */
static inline void score_mount_over(struct score_mount *mount, unsigned status, uint64_t took_ns)
{
    score_add64(&mount->requests, 1);
    score_add64(&mount->took_ns, took_ns);
    if (status / 100 == 5)
        score_add64(&mount->errors, 1);
}

/* A request has ended: status 0 without an answer. */
static inline void score_request_over(struct score *score, unsigned status, enum score_method method, uint64_t took_ns)
{
    unsigned row = status - 100u;
    score_add64(&score->requests, 1);
    score_add64(&score->method[method], 1);
    score_add64(&score->status[row < SCORE_STATUSES ? row : SCORE_STATUSES - 1], 1);
    histogram_add(&score->latency, took_ns);
}

#endif
