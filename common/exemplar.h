/* SPDX-License-Identifier: BSD-3-Clause */
/* exemplar.h: a request, by its trace, for each bucket of the durations that the metrics show (OpenMetrics 1.0, "Exemplars").
 * One writer, a worker, any number of readers in other processes, no locks: a reader that meets a write goes without. */
#ifndef TINE_COMMON_EXEMPLAR_H
#define TINE_COMMON_EXEMPLAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Buckets of durations as the metrics show them; the last one has no bound. */
#define EXEMPLARS 20
extern const uint64_t exemplar_bounds_us[EXEMPLARS - 1];

/* Shared. */
struct exemplar {
    _Atomic(uint32_t) version; /* odd: being written */
    _Atomic(uint64_t) at_ms; /* wall clock; 0: there is none yet */
    _Atomic(uint64_t) took_ns;
    _Atomic(uint64_t) trace[2]; /* from the left */
};

/* A reader's own. */
struct exemplar_seen {
    uint64_t at_ms, took_ns; /* at_ms = 0: none */
    uint64_t trace[2];
};

/* By the worker: a request of this trace, 32 digits of hexadecimal, took so long. */
void exemplar_note(struct exemplar all[EXEMPLARS], const char *trace, uint64_t took_ns);
/* Takes over those that are newer than what `seen` has. Whatever is in `all`, what is seen fits its bucket. */
void exemplar_read(struct exemplar all[EXEMPLARS], struct exemplar_seen seen[EXEMPLARS]);

#endif
