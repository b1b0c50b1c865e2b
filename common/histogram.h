/* SPDX-License-Identifier: BSD-3-Clause */
/* histogram.h: durations counted in buckets: one writer, any number of readers in other processes, no locks. The buckets
 * are linear within a decade (a hundred of 0.1 us below 10 us, then ninety to each decade up to 100 s): a quantile is off
 * by a tenth at most, and every bound with two digits (0.25 ms, 0.1 s) is one of a bucket, so that counting to such a
 * bound is exact. A bucket holds its upper bound, as `le` of OpenMetrics does. */
#ifndef TINE_COMMON_HISTOGRAM_H
#define TINE_COMMON_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 731 /* the last one: longer than 100 s */

/* Shared: written by histogram_add() of one thread alone. */
struct histogram {
    _Atomic(uint64_t) sum_ns;
    _Atomic(uint64_t) count[HISTOGRAM_BUCKETS];
};

/* A reader's own. */
struct histogram_sum {
    uint64_t sum_ns;
    uint64_t count[HISTOGRAM_BUCKETS];
};

/* Divisions by constants, which are multiplications; what is usual is found by the first tests. */
static inline unsigned histogram_index(uint64_t ns)
{
    uint64_t v = ns ? ns - 1 : 0;
    if (v < 10000u)
        return (unsigned)(v / 100u);
    if (v < 100000u)
        return (unsigned)(90u + v / 1000u);
    if (v < 1000000u)
        return (unsigned)(180u + v / 10000u);
    if (v < 10000000u)
        return (unsigned)(270u + v / 100000u);
    if (v < 100000000u)
        return (unsigned)(360u + v / 1000000u);
    if (v < 1000000000u)
        return (unsigned)(450u + v / 10000000u);
    if (v < 10000000000u)
        return (unsigned)(540u + v / 100000000u);
    if (v < 100000000000u)
        return (unsigned)(630u + v / 1000000000u);
    return HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    _Atomic(uint64_t) *count = &h->count[histogram_index(ns)];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&h->sum_ns, atomic_load_explicit(&h->sum_ns, memory_order_relaxed) + ns,
                          memory_order_relaxed);
}

/* The longest duration that the bucket holds; UINT64_MAX for the last one. */
uint64_t histogram_bound(unsigned bucket);
/* Adds what is there now to `to`. Counts of one histogram never fall from one reading to the next. */
void histogram_read(const struct histogram *h, struct histogram_sum *to);
void histogram_clear(struct histogram *h);

void histogram_merge(struct histogram_sum *to, const struct histogram_sum *from);
/* to = later - earlier, of one and the same histogram. */
void histogram_between(struct histogram_sum *to, const struct histogram_sum *later,
                       const struct histogram_sum *earlier);
uint64_t histogram_total(const struct histogram_sum *h);
/* How many took at most `ns`: exact for a bound of a bucket. */
uint64_t histogram_at_most(const struct histogram_sum *h, uint64_t ns);
/* The duration that the share `q` (0.5, 0.99) did not pass, in ns, rounded up to the bound of its bucket; 0: none were
 * counted; for the last bucket 100 s. */
uint64_t histogram_quantile(const struct histogram_sum *h, double q);

#endif
