/* SPDX-License-Identifier: BSD-3-Clause */
/* snapshot.h: the service at one moment, in plain values, for those who look at it: the control
 * socket, /status, the metrics. Taken from the slots, the scoreboard and /proc; the reader needs
 * neither libevent nor locks. */
#ifndef TINE_MASTER_SNAPSHOT_H
#define TINE_MASTER_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "common/scoreboard.h"
#include "master/service.h"
#include "master/fleet/slots.h"

struct json_out;

enum snapshot_reload {
    SNAPSHOT_RELOAD_NONE, /* none since the start */
    SNAPSHOT_RELOAD_DONE,
    SNAPSHOT_RELOAD_FAILED,
};

/* A process. A slot that waits for its next process (its back-off) has pid 0 and state EMPTY. */
struct snapshot_worker {
    unsigned number; /* as in the log: 1, 2, ... */
    pid_t pid;
    enum slot_state state;
    unsigned generation;
    bool current;       /* of the generation that serves */
    bool hung, recycle; /* gives no sign of life; is to be replaced */
    bool main_interpreter; /* of Python: else a sub-interpreter */
    uint64_t age_ms;    /* since it was forked */
    uint64_t silent_ms; /* since its loop last turned; 0 unless READY */
    uint32_t connections, inflight;
    uint32_t threads, threads_busy, threads_lost; /* of WSGI; busy: lost ones included */
    bool stalled; /* no thread of it can take a request */
    uint64_t accepted, woken_in_vain;
    uint64_t requests, errors; /* answered in this life; of these with 5xx */
    uint64_t log_dropped;
    struct histogram_sum latency; /* of this life */
    uint64_t memory_bytes;        /* resident; 0: unknown */
    uint64_t cpu_ms;              /* user and system time */
    unsigned n_held;              /* requests whose lines are known, longest first */
    struct {
        uint64_t for_ms;
        char line[SCORE_LINE], client[SCORE_CLIENT]; /* not escaped */
    } held[SCORE_REQUESTS];
};

struct snapshot {
    const struct service *service; /* for what is not copied; valid until the event loop continues, as is
                                      every `const char *` here */
    const char *version, *app;
    pid_t pid;
    enum service_state state;
    bool paused;
    unsigned generation;
    time_t started_at; /* wall clock */
    uint64_t uptime_ms;
    unsigned workers_wanted, workers_ready, workers_alive; /* alive: of all generations */

    struct score_sums sums; /* since the start, those of dead workers included */

    struct exemplar_seen exemplars[EXEMPLARS]; /* of sums.latency; with http.traceparent */

    unsigned reloads_done, reloads_failed;
    enum snapshot_reload reload; /* the last one that ended */
    time_t reload_at;            /* wall clock of its end; 0: none */
    const char *reload_error;    /* NULL: none; else why it failed, at most a traceback */

    size_t n_workers;
    struct snapshot_worker *workers; /* by number */
};

/* 0, or -1: out of memory. */
int snapshot_take(const struct service *service, struct snapshot *ret) __attribute__((warn_unused_result));
void snapshot_done(struct snapshot *snapshot);

/* "starting", "running", "reloading", "leaving", "stopping" */
const char *snapshot_service_state(const struct snapshot *snapshot);
/* "waiting", "starting", "ready", "draining", "killed"; "hung" for one that is, "silent" for one that is ready and has
 * given no sign of life for SNAPSHOT_SILENT_MS: its loop is blocked;
 * "stuck": every thread of its WSGI applications is lost. */
#define SNAPSHOT_SILENT_MS 3000
const char *snapshot_worker_state(const struct snapshot_worker *worker);
/* "none", "done", "failed" */
const char *snapshot_reload_outcome(const struct snapshot *snapshot);

/* Members of the object that the caller has opened (and ends): what `tinectl -j status` and /status
 * show. */
void snapshot_write_service(const struct snapshot *snapshot, struct json_out *j);
/* The array "workers"; `latencies`: with the histogram of each as pairs of a bucket and its count,
 * empty ones left out. */
void snapshot_write_workers(const struct snapshot *snapshot, bool latencies, struct json_out *j);

#endif
