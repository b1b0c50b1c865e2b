/* SPDX-License-Identifier: BSD-3-Clause */
/* exemplar.c: see exemplar.h. */
#include "common/exemplar.h"

#include <time.h>

const uint64_t exemplar_bounds_us[EXEMPLARS - 1] = {
    100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000,     100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000, 100000000,
};

static unsigned bucket_of(uint64_t took_ns)
{
    unsigned i = 0;
    while (i < EXEMPLARS - 1 && took_ns > exemplar_bounds_us[i] * 1000)
        i++;
    return i;
}

static uint64_t read_hex(const char *digits)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 16; i++)
        n = n << 4 | (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
    return n;
}

/* No store of a field passes the one to `version` before it, and no load of a field the one behind it: by each field's
 * own order, since ThreadSanitizer knows no fences. */
void exemplar_note(struct exemplar all[EXEMPLARS], const char *trace, uint64_t took_ns)
{
    struct exemplar *e = &all[bucket_of(took_ns)];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint32_t version = atomic_load_explicit(&e->version, memory_order_relaxed) | 1;
    atomic_store_explicit(&e->version, version, memory_order_relaxed);
    atomic_store_explicit(&e->at_ms, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
                          memory_order_release);
    atomic_store_explicit(&e->took_ns, took_ns, memory_order_release);
    atomic_store_explicit(&e->trace[0], read_hex(trace), memory_order_release);
    atomic_store_explicit(&e->trace[1], read_hex(trace + 16), memory_order_release);
    atomic_store_explicit(&e->version, version + 1, memory_order_release);
}

/* False: it is being written. */
static bool read_one(struct exemplar *e, struct exemplar_seen *to)
{
    uint32_t before = atomic_load_explicit(&e->version, memory_order_acquire);
    to->at_ms = atomic_load_explicit(&e->at_ms, memory_order_acquire);
    to->took_ns = atomic_load_explicit(&e->took_ns, memory_order_acquire);
    to->trace[0] = atomic_load_explicit(&e->trace[0], memory_order_acquire);
    to->trace[1] = atomic_load_explicit(&e->trace[1], memory_order_acquire);
    return !(before & 1) && atomic_load_explicit(&e->version, memory_order_relaxed) == before;
}

void exemplar_read(struct exemplar all[EXEMPLARS], struct exemplar_seen seen[EXEMPLARS])
{
    for (unsigned i = 0; i < EXEMPLARS; i++) {
        struct exemplar_seen one;
        if (read_one(&all[i], &one) && one.at_ms > seen[i].at_ms && bucket_of(one.took_ns) == i)
            seen[i] = one;
    }
}
