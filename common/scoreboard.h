/* scoreboard.h: one shared anonymous mapping made by the master before it forks; a slot per worker, written by that
 * worker alone (relaxed atomics, no locks) and read by the master. */
#ifndef TINE_COMMON_SCOREBOARD_H
#define TINE_COMMON_SCOREBOARD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SCORE_REQUESTS 16 /* kept of one worker; more are only counted */
#define SCORE_LINE 160
#define SCORE_CLIENT 48

/* A request that is being answered, as much of it as fits; not escaped. */
struct score_request {
    uint64_t started_ns;
    char line[SCORE_LINE];     /* "GET /path HTTP/1.1", terminated */
    char client[SCORE_CLIENT]; /* "127.0.0.1", terminated; "": none */
};

struct score {
    _Alignas(64) _Atomic(pid_t) pid;
    _Atomic(uint64_t) heartbeat_ns; /* clock_ns() of the last loop turn */
    _Atomic(uint32_t) connections;  /* open now */
    _Atomic(uint32_t) inflight;     /* requests being answered now */
    _Atomic(uint64_t) requests;     /* answered since birth */
    /* admission.c's; but for the last they stay 0 unless http.max_inflight or request_timeout is set */
    _Atomic(uint32_t) waiting;      /* requests in its queue now */
    _Atomic(uint64_t) admitted;     /* given to the application */
    _Atomic(uint64_t) queued;       /* had to wait for that */
    _Atomic(uint64_t) refused;      /* 503: queue full, or queue_timeout */
    _Atomic(uint64_t) timed_out;    /* request_timeout: 504, or cut */
    _Atomic(uint64_t) too_large;    /* 413: above limit_request_body */
    _Atomic(uint64_t) log_dropped;  /* log lines that could not be written */
    _Atomic(uint32_t) held;         /* which of `request` are in use, as bits */
    struct score_request request[SCORE_REQUESTS];
};

struct scoreboard {
    unsigned n;
    struct score slot[];
};

/* Shared, zeroed, n slots. NULL with errno. */
struct scoreboard *scoreboard_new(unsigned n);
void scoreboard_free(struct scoreboard *board);
/* Forgets a dead worker's figures. */
void scoreboard_clear(struct scoreboard *board, unsigned slot);

/* By the worker: remembers a request. Its index, or -1: no room. What the master reads meanwhile may be
 * half of two requests; it is text for people. */
int score_hold(struct score *score, const char *line, size_t n, const char *client, uint64_t now_ns);
/* -1: nothing. */
static inline void score_let_go(struct score *score, int index)
{
    if (index >= 0)
        atomic_store_explicit(&score->held,
                              atomic_load_explicit(&score->held, memory_order_relaxed) & ~(1u << index),
                              memory_order_relaxed);
}
/* By the master: copies what is held, each text terminated. How many. */
unsigned score_read_requests(const struct score *score, struct score_request to[SCORE_REQUESTS]);

static inline void score_add32(_Atomic(uint32_t) *field, int32_t by)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + (uint32_t)by, memory_order_relaxed);
}

static inline void score_add64(_Atomic(uint64_t) *field, uint64_t by)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + by, memory_order_relaxed);
}

#endif
