/* SPDX-License-Identifier: BSD-3-Clause */
/* histogram.c: the readers' side of histogram.h. */
#include "common/histogram.h"

#define LONGEST_NS 100000000000u

uint64_t histogram_bound(unsigned bucket)
{
    if (bucket >= HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    uint64_t width = 100;
    while (bucket >= 100) {
        bucket -= 90;
        width *= 10;
    }
    return (bucket + 1) * width;
}

void histogram_read(const struct histogram *h, struct histogram_sum *to)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->count[i] += atomic_load_explicit(&h->count[i], memory_order_relaxed);
    to->sum_ns += atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
}

void histogram_clear(struct histogram *h)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&h->count[i], 0, memory_order_relaxed);
    atomic_store_explicit(&h->sum_ns, 0, memory_order_relaxed);
}

void histogram_merge(struct histogram_sum *to, const struct histogram_sum *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->count[i] += from->count[i];
    to->sum_ns += from->sum_ns;
}

void histogram_between(struct histogram_sum *to, const struct histogram_sum *later, const struct histogram_sum *earlier)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->count[i] = later->count[i] - earlier->count[i];
    to->sum_ns = later->sum_ns - earlier->sum_ns;
}

uint64_t histogram_total(const struct histogram_sum *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        n += h->count[i];
    return n;
}

uint64_t histogram_at_most(const struct histogram_sum *h, uint64_t ns)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && histogram_bound(i) <= ns; i++)
        n += h->count[i];
    return n;
}

uint64_t histogram_quantile(const struct histogram_sum *h, double q)
{
    uint64_t total = histogram_total(h), seen = 0;
    double wanted = q * (double)total;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += h->count[i];
        if (seen && (double)seen >= wanted)
            return histogram_bound(i);
    }
    return total ? LONGEST_NS : 0;
}
