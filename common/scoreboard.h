/* scoreboard.h: one shared anonymous mapping made by the master before it forks; a slot per worker, written by that
 * worker alone (relaxed atomics, no locks) and read by the master. */
#ifndef TINE_COMMON_SCOREBOARD_H
#define TINE_COMMON_SCOREBOARD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct score {
    _Alignas(64) _Atomic(pid_t) pid;
    _Atomic(uint64_t) heartbeat_ns; /* clock_ns() of the last loop turn */
    _Atomic(uint32_t) connections;  /* open now */
    _Atomic(uint32_t) inflight;     /* requests being answered now */
    _Atomic(uint64_t) requests;     /* answered since birth */
    _Atomic(uint64_t) log_dropped;  /* log lines that could not be written */
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

static inline void score_add32(_Atomic(uint32_t) *field, int32_t by)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + (uint32_t)by, memory_order_relaxed);
}

static inline void score_add64(_Atomic(uint64_t) *field, uint64_t by)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + by, memory_order_relaxed);
}

#endif
